// SPDX-License-Identifier: Apache-2.0
// Errno values, made once and thrown by identity: making an Error with its stack costs a hundred times more
// than throwing one that exists. Source: errno(3), strerror(3).

import { ERRNO, type ErrnoName } from "../include/uapi/errno.ts";

/** A Linux error: `throw ENOENT`. Compare by identity. */
export class Errno extends Error {
  readonly code: ErrnoName;
  readonly errno: number;
  constructor(code: ErrnoName) {
    super(code);
    this.name = "Errno";
    this.code = code;
    this.errno = ERRNO[code];
  }
}

export const EPERM: Errno = new Errno("EPERM");
export const ENOENT: Errno = new Errno("ENOENT");
export const ESRCH: Errno = new Errno("ESRCH");
export const EINTR: Errno = new Errno("EINTR");
export const EIO: Errno = new Errno("EIO");
export const ENXIO: Errno = new Errno("ENXIO");
export const E2BIG: Errno = new Errno("E2BIG");
export const ENOEXEC: Errno = new Errno("ENOEXEC");
export const EBADF: Errno = new Errno("EBADF");
export const ECHILD: Errno = new Errno("ECHILD");
export const EAGAIN: Errno = new Errno("EAGAIN");
export const ENOMEM: Errno = new Errno("ENOMEM");
export const EACCES: Errno = new Errno("EACCES");
export const EFAULT: Errno = new Errno("EFAULT");
export const ENOTBLK: Errno = new Errno("ENOTBLK");
export const EBUSY: Errno = new Errno("EBUSY");
export const EEXIST: Errno = new Errno("EEXIST");
export const EXDEV: Errno = new Errno("EXDEV");
export const ENODEV: Errno = new Errno("ENODEV");
export const ENOTDIR: Errno = new Errno("ENOTDIR");
export const EISDIR: Errno = new Errno("EISDIR");
export const EINVAL: Errno = new Errno("EINVAL");
export const ENFILE: Errno = new Errno("ENFILE");
export const EMFILE: Errno = new Errno("EMFILE");
export const ENOTTY: Errno = new Errno("ENOTTY");
export const ETXTBSY: Errno = new Errno("ETXTBSY");
export const EFBIG: Errno = new Errno("EFBIG");
export const ENOSPC: Errno = new Errno("ENOSPC");
export const ESPIPE: Errno = new Errno("ESPIPE");
export const EROFS: Errno = new Errno("EROFS");
export const EMLINK: Errno = new Errno("EMLINK");
export const EPIPE: Errno = new Errno("EPIPE");
export const EDOM: Errno = new Errno("EDOM");
export const ERANGE: Errno = new Errno("ERANGE");
export const EDEADLK: Errno = new Errno("EDEADLK");
export const ENAMETOOLONG: Errno = new Errno("ENAMETOOLONG");
export const ENOLCK: Errno = new Errno("ENOLCK");
export const ENOSYS: Errno = new Errno("ENOSYS");
export const ENOTEMPTY: Errno = new Errno("ENOTEMPTY");
export const ELOOP: Errno = new Errno("ELOOP");
export const EWOULDBLOCK: Errno = new Errno("EWOULDBLOCK");
export const ENOMSG: Errno = new Errno("ENOMSG");
export const EIDRM: Errno = new Errno("EIDRM");
export const ECHRNG: Errno = new Errno("ECHRNG");
export const EL2NSYNC: Errno = new Errno("EL2NSYNC");
export const EL3HLT: Errno = new Errno("EL3HLT");
export const EL3RST: Errno = new Errno("EL3RST");
export const ELNRNG: Errno = new Errno("ELNRNG");
export const EUNATCH: Errno = new Errno("EUNATCH");
export const ENOCSI: Errno = new Errno("ENOCSI");
export const EL2HLT: Errno = new Errno("EL2HLT");
export const EBADE: Errno = new Errno("EBADE");
export const EBADR: Errno = new Errno("EBADR");
export const EXFULL: Errno = new Errno("EXFULL");
export const ENOANO: Errno = new Errno("ENOANO");
export const EBADRQC: Errno = new Errno("EBADRQC");
export const EBADSLT: Errno = new Errno("EBADSLT");
export const EDEADLOCK: Errno = new Errno("EDEADLOCK");
export const EBFONT: Errno = new Errno("EBFONT");
export const ENOSTR: Errno = new Errno("ENOSTR");
export const ENODATA: Errno = new Errno("ENODATA");
export const ETIME: Errno = new Errno("ETIME");
export const ENOSR: Errno = new Errno("ENOSR");
export const ENONET: Errno = new Errno("ENONET");
export const ENOPKG: Errno = new Errno("ENOPKG");
export const EREMOTE: Errno = new Errno("EREMOTE");
export const ENOLINK: Errno = new Errno("ENOLINK");
export const EADV: Errno = new Errno("EADV");
export const ESRMNT: Errno = new Errno("ESRMNT");
export const ECOMM: Errno = new Errno("ECOMM");
export const EPROTO: Errno = new Errno("EPROTO");
export const EMULTIHOP: Errno = new Errno("EMULTIHOP");
export const EDOTDOT: Errno = new Errno("EDOTDOT");
export const EBADMSG: Errno = new Errno("EBADMSG");
export const EOVERFLOW: Errno = new Errno("EOVERFLOW");
export const ENOTUNIQ: Errno = new Errno("ENOTUNIQ");
export const EBADFD: Errno = new Errno("EBADFD");
export const EREMCHG: Errno = new Errno("EREMCHG");
export const ELIBACC: Errno = new Errno("ELIBACC");
export const ELIBBAD: Errno = new Errno("ELIBBAD");
export const ELIBSCN: Errno = new Errno("ELIBSCN");
export const ELIBMAX: Errno = new Errno("ELIBMAX");
export const ELIBEXEC: Errno = new Errno("ELIBEXEC");
export const EILSEQ: Errno = new Errno("EILSEQ");
export const ERESTART: Errno = new Errno("ERESTART");
export const ESTRPIPE: Errno = new Errno("ESTRPIPE");
export const EUSERS: Errno = new Errno("EUSERS");
export const ENOTSOCK: Errno = new Errno("ENOTSOCK");
export const EDESTADDRREQ: Errno = new Errno("EDESTADDRREQ");
export const EMSGSIZE: Errno = new Errno("EMSGSIZE");
export const EPROTOTYPE: Errno = new Errno("EPROTOTYPE");
export const ENOPROTOOPT: Errno = new Errno("ENOPROTOOPT");
export const EPROTONOSUPPORT: Errno = new Errno("EPROTONOSUPPORT");
export const ESOCKTNOSUPPORT: Errno = new Errno("ESOCKTNOSUPPORT");
export const EOPNOTSUPP: Errno = new Errno("EOPNOTSUPP");
export const EPFNOSUPPORT: Errno = new Errno("EPFNOSUPPORT");
export const EAFNOSUPPORT: Errno = new Errno("EAFNOSUPPORT");
export const EADDRINUSE: Errno = new Errno("EADDRINUSE");
export const EADDRNOTAVAIL: Errno = new Errno("EADDRNOTAVAIL");
export const ENETDOWN: Errno = new Errno("ENETDOWN");
export const ENETUNREACH: Errno = new Errno("ENETUNREACH");
export const ENETRESET: Errno = new Errno("ENETRESET");
export const ECONNABORTED: Errno = new Errno("ECONNABORTED");
export const ECONNRESET: Errno = new Errno("ECONNRESET");
export const ENOBUFS: Errno = new Errno("ENOBUFS");
export const EISCONN: Errno = new Errno("EISCONN");
export const ENOTCONN: Errno = new Errno("ENOTCONN");
export const ESHUTDOWN: Errno = new Errno("ESHUTDOWN");
export const ETOOMANYREFS: Errno = new Errno("ETOOMANYREFS");
export const ETIMEDOUT: Errno = new Errno("ETIMEDOUT");
export const ECONNREFUSED: Errno = new Errno("ECONNREFUSED");
export const EHOSTDOWN: Errno = new Errno("EHOSTDOWN");
export const EHOSTUNREACH: Errno = new Errno("EHOSTUNREACH");
export const EALREADY: Errno = new Errno("EALREADY");
export const EINPROGRESS: Errno = new Errno("EINPROGRESS");
export const ESTALE: Errno = new Errno("ESTALE");
export const EUCLEAN: Errno = new Errno("EUCLEAN");
export const ENOTNAM: Errno = new Errno("ENOTNAM");
export const ENAVAIL: Errno = new Errno("ENAVAIL");
export const EISNAM: Errno = new Errno("EISNAM");
export const EREMOTEIO: Errno = new Errno("EREMOTEIO");
export const EDQUOT: Errno = new Errno("EDQUOT");
export const ENOMEDIUM: Errno = new Errno("ENOMEDIUM");
export const EMEDIUMTYPE: Errno = new Errno("EMEDIUMTYPE");
export const ECANCELED: Errno = new Errno("ECANCELED");
export const ENOKEY: Errno = new Errno("ENOKEY");
export const EKEYEXPIRED: Errno = new Errno("EKEYEXPIRED");
export const EKEYREVOKED: Errno = new Errno("EKEYREVOKED");
export const EKEYREJECTED: Errno = new Errno("EKEYREJECTED");
export const EOWNERDEAD: Errno = new Errno("EOWNERDEAD");
export const ENOTRECOVERABLE: Errno = new Errno("ENOTRECOVERABLE");
export const ERFKILL: Errno = new Errno("ERFKILL");
export const EHWPOISON: Errno = new Errno("EHWPOISON");

/**
 * Internal to the kernel, never seen by a program: an interrupted call to be made again after the signal when its
 * handler has SA_RESTART (ERESTARTSYS), always when there is no handler (ERESTARTNOHAND), always (ERESTARTNOINTR),
 * or through restart_syscall(2) (ERESTART_RESTARTBLOCK).
 */
export class RestartError extends Error {
  readonly when: "sys" | "nohand" | "nointr" | "block";
  constructor(when: "sys" | "nohand" | "nointr" | "block") {
    super(when);
    this.name = "RestartError";
    this.when = when;
  }
}
export const ERESTARTSYS: RestartError = new RestartError("sys");
export const ERESTARTNOHAND: RestartError = new RestartError("nohand");
export const ERESTARTNOINTR: RestartError = new RestartError("nointr");
export const ERESTART_RESTARTBLOCK: RestartError = new RestartError("block");
