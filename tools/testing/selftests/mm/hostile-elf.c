// SPDX-License-Identifier: Apache-2.0
// Torn and bit-flipped programs end as on Linux: an errno of execve(2), a signal, or a run. A tiny program is made,
// changed at random (from a fixed seed) and started. Source: elf(5), execve(2).
#define _GNU_SOURCE
#include "../check.h"
#include <elf.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define VARIANTS 400
#define SEGMENTS 4
#define FILE_BYTES 0x4000

static unsigned char image[FILE_BYTES];
static unsigned seed = 12345;

static unsigned chance(unsigned limit) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % limit;
}

static void segment(int index, int flags, long offset, long file_bytes, long memory_bytes) {
  Elf64_Phdr *p = (Elf64_Phdr *)(image + sizeof(Elf64_Ehdr)) + index;
  *p = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = flags, .p_offset = offset, .p_vaddr = 0x400000 + offset,
    .p_paddr = 0x400000 + offset, .p_filesz = file_bytes, .p_memsz = memory_bytes, .p_align = 0x1000};
}

static void make(void) {
  // mov $43,%edi; mov 0x403000,%eax; add 0x404ff8,%eax; lea 60(%rax),%eax; syscall: exit(43) if data and bss are right
  static const unsigned char code[] = {0xbf, 43, 0, 0, 0, 0x8b, 0x04, 0x25, 0x00, 0x30, 0x40, 0, 0x03, 0x04, 0x25, 0xf8,
    0x4f, 0x40, 0, 0x8d, 0x40, 60, 0x0f, 0x05, 0xf4};
  memset(image, 0, sizeof image);
  Elf64_Ehdr *e = (Elf64_Ehdr *)image;
  memcpy(e->e_ident, ELFMAG, SELFMAG);
  e->e_ident[EI_CLASS] = ELFCLASS64;
  e->e_ident[EI_DATA] = ELFDATA2LSB;
  e->e_ident[EI_VERSION] = e->e_version = EV_CURRENT;
  e->e_type = ET_EXEC;
  e->e_machine = EM_X86_64;
  e->e_entry = 0x401000;
  e->e_phoff = e->e_ehsize = sizeof *e;
  e->e_phentsize = sizeof(Elf64_Phdr);
  e->e_phnum = SEGMENTS;
  segment(0, PF_R, 0, 0x200, 0x200);
  segment(1, PF_R | PF_X, 0x1000, sizeof code, sizeof code);
  segment(2, PF_R, 0x2000, 0x100, 0x100);
  segment(3, PF_R | PF_W, 0x3000, 4, 0x2000);
  memcpy(image + 0x1000, code, sizeof code);
}

/* Sizes whose fate depends on how much memory there is are left alone. */
static int depends_on_memory(void) {
  for (int i = 0; i < SEGMENTS; i++) {
    Elf64_Phdr *p = (Elf64_Phdr *)(image + sizeof(Elf64_Ehdr)) + i;
    if (p->p_memsz > 1UL << 24 && p->p_memsz < 1UL << 46) return 1;
  }
  return 0;
}

static size_t change(void) {
  size_t headers = SEGMENTS * sizeof(Elf64_Phdr), at = sizeof(Elf64_Ehdr);
  switch (chance(6)) {
    case 0: image[chance(at)] ^= 1 << chance(8); break;
    case 1: image[at + chance(headers)] = "\0\377\177\200\1"[chance(5)]; break;
    case 2: for (int i = 0; i < 3; i++) image[at + chance(headers)] = chance(256); break;
    case 3: return 1 + chance(FILE_BYTES - 1);
    default: image[at + chance(headers)] ^= 1 << chance(8); break;
  }
  return FILE_BYTES;
}

static void try_it(int number, size_t length) {
  int pair[2], error = 0, status;
  char name[] = "./hostile.tmp";
  unlink(name);
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  CHECK(write(fd, image, length) == (ssize_t)length && close(fd) == 0 && pipe2(pair, O_CLOEXEC) == 0);
  pid_t child = fork();
  if (child == 0) {
    char *argv[] = {name, 0}, *envp[] = {0};
    struct rlimit limit = {1, 1};
    setrlimit(RLIMIT_CPU, &limit);
    execve(name, argv, envp);
    error = errno;
    write(pair[1], &error, sizeof error);
    _exit(0);
  }
  close(pair[1]);
  ssize_t got = read(pair[0], &error, sizeof error);
  close(pair[0]);
  waitpid(child, &status, 0);
  if (got > 0) printf("%d: errno %d\n", number, error);
  else if (WIFSIGNALED(status)) printf("%d: signal %d\n", number, WTERMSIG(status));
  else printf("%d: status %d\n", number, WEXITSTATUS(status));
  unlink(name);
}

int main(void) {
  make();
  try_it(-1, FILE_BYTES);
  for (int i = 0; i < VARIANTS; i++) {
    make();
    size_t length = change();
    if (!depends_on_memory()) try_it(i, length);
  }
  return check_done();
}
