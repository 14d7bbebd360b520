// SPDX-License-Identifier: Apache-2.0
// In the place of liblzma's config.h: the encoder of LZMA2 with all its match finders, without threads.

#define HAVE_STDINT_H 1
#define HAVE_STDBOOL_H 1
#define HAVE_STRING_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_LIMITS_H 1
#define HAVE__BOOL 1
#define HAVE_VISIBILITY 0
#define HAVE_ENCODERS 1
#define HAVE_ENCODER_LZMA2 1
#define HAVE_MF_HC3 1
#define HAVE_MF_HC4 1
#define HAVE_MF_BT2 1
#define HAVE_MF_BT3 1
#define HAVE_MF_BT4 1
#define HAVE_CHECK_CRC32 1
#define TUKLIB_SYMBOL_PREFIX lzma_
#define TUKLIB_FAST_UNALIGNED_ACCESS 1
#define NDEBUG 1

#ifdef __wasm__
typedef int sigset_t;
#define SIG_SETMASK 2
static inline int sigprocmask(int how, const sigset_t *set, sigset_t *old) { return 0; }
#endif
