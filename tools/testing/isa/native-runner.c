// SPDX-License-Identifier: Apache-2.0
//
// Runs instruction instances on the real CPU, for the instruction oracle.
//
// Reads one batch from standard input and writes one result per instance to standard output; both layouts
// are described in records.ts and must stay in step with the structures below. Everything happens through
// one signal handler: an instance is started by returning from the handler with its state in the signal
// frame, and ends with a trap (INT3 after the instructions, or a fault), whose frame holds the final state.
// So no assembly stub touches the registers under test, and faulting and normal ends look the same.
//
// Invariants: the handler uses no thread-local storage (the FS base belongs to the instance); the data
// pages are written by the runner only through an alias, so their protection can be anything.

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define FX_BYTES 416u
#define MAGIC 0x31414f52u
#define RSP 4

struct header {
  uint32_t magic, count;
  uint64_t code_base;
  uint32_t code_bytes, page_count;
  uint64_t data_base;
  uint64_t fs_base, gs_base;
};

struct instance {
  uint64_t gpr[16]; // encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15
  uint64_t rflags, rip;
  uint64_t window_address;
  uint32_t window_bytes, reserved;
  uint8_t fx[FX_BYTES];
};

struct result {
  uint64_t gpr[16];
  uint64_t rflags, rip;
  uint32_t signal;
  int32_t code;
  uint64_t address;
  uint32_t trap, error;
  uint32_t diff_bytes, reserved;
  uint8_t fx[FX_BYTES];
};

static struct header header;
static uint8_t *alias, *background, *prot;
static uint8_t *input, *next_instance, *window_data;
static uint8_t *output, *out_next;
static uint8_t *stack_loader;
static size_t output_room;
static struct instance current;
static uint32_t started;
static volatile uint32_t ticks_at;
static uint64_t own_fs;
static int begun;
static mcontext_t own_context;
static uint8_t own_fx[512];

static const int GREG[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static inline uint64_t read_fs(void) {
  uint64_t value;
  __asm__ volatile("rdfsbase %0" : "=r"(value));
  return value;
}
static inline void write_fs(uint64_t value) { __asm__ volatile("wrfsbase %0" ::"r"(value)); }
static inline void write_gs(uint64_t value) { __asm__ volatile("wrgsbase %0" ::"r"(value)); }

static void die(const char *what) {
  perror(what);
  _exit(2);
}

// Bytes of the window that fall into the data area, page protection aside.
static void apply_window(int restore) {
  uint64_t total = (uint64_t)header.page_count * PAGE;
  for (uint32_t i = 0; i < current.window_bytes; i++) {
    uint64_t offset = current.window_address + i - header.data_base;
    if (offset >= total || prot[offset / PAGE] == 0) continue;
    alias[offset] = restore ? background[offset] : window_data[i];
  }
}

static int meets_window(uint64_t offset, uint64_t bytes) {
  uint64_t start = current.window_address - header.data_base;
  return start < offset + bytes && start + current.window_bytes > offset;
}

// Appends the runs of 8-byte words that differ from the initial contents; puts the background back.
static uint32_t write_diff(uint8_t *to) {
  uint8_t *at = to;
  for (uint32_t page = 0; page < header.page_count; page++) {
    if (prot[page] == 0) continue;
    uint8_t *now = alias + (size_t)page * PAGE, *before = background + (size_t)page * PAGE;
    if (memcmp(now, before, PAGE) == 0 && !meets_window((uint64_t)page * PAGE, PAGE)) continue;
    for (uint32_t word = 0; word < PAGE; word += 8) {
      uint8_t initial[8];
      uint32_t offset = page * PAGE + word;
      if (memcmp(now + word, before + word, 8) == 0 && !meets_window(offset, 8)) continue;
      for (uint32_t i = 0; i < 8; i++) {
        uint64_t in_window = (uint64_t)offset + i - (current.window_address - header.data_base);
        initial[i] = in_window < current.window_bytes ? window_data[in_window] : before[word + i];
      }
      if (memcmp(now + word, initial, 8) == 0) continue;
      memcpy(at, &offset, 4);
      memset(at + 4, 0, 4);
      memcpy(at + 8, now + word, 8);
      at += 16;
      memcpy(now + word, before + word, 8);
    }
  }
  return (uint32_t)(at - to);
}

static void need_room(size_t bytes) {
  size_t used = (size_t)(out_next - output);
  if (used + bytes <= output_room) return;
  size_t larger = output_room * 2 + bytes;
  uint8_t *moved = mremap(output, output_room, larger, MREMAP_MAYMOVE);
  if (moved == MAP_FAILED) _exit(3);
  output = moved;
  output_room = larger;
  out_next = output + used;
}

static void finish_instance(int signal, const siginfo_t *info, const ucontext_t *context) {
  const mcontext_t *machine = &context->uc_mcontext;
  need_room(sizeof(struct result) + (size_t)header.page_count * PAGE * 2);
  struct result *result = (struct result *)out_next;
  memset(result, 0, sizeof *result);
  for (int i = 0; i < 16; i++) result->gpr[i] = (uint64_t)machine->gregs[GREG[i]];
  result->rflags = (uint64_t)machine->gregs[REG_EFL];
  result->rip = (uint64_t)machine->gregs[REG_RIP];
  result->signal = (uint32_t)signal;
  result->code = info->si_code;
  result->address = (uint64_t)info->si_addr;
  result->trap = (uint32_t)machine->gregs[REG_TRAPNO];
  result->error = (uint32_t)machine->gregs[REG_ERR];
  memcpy(result->fx, machine->fpregs, FX_BYTES);
  result->diff_bytes = write_diff(out_next + sizeof *result);
  apply_window(1);
  out_next += sizeof *result + result->diff_bytes;
}

// sigreturn leaves ID and NT as the handler has them, so an instance that sets them would do so for the next.
static void load_sticky_flags(uint64_t wanted) {
  const uint64_t sticky = 0x204000;
  uint64_t flags;
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; pop %0" : "=r"(flags)::"memory");
  flags = (flags & ~sticky) | (wanted & sticky);
  __asm__ volatile("push %0; popfq; lea 128(%%rsp), %%rsp" ::"r"(flags) : "memory", "cc");
}

// Selectors that an instance loaded would stay for the next one; a process starts with null ones.
static void reset_segments(void) {
  uint16_t ds, es, fs, gs;
  uint16_t zero = 0;
  __asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3" : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
  if (ds) __asm__ volatile("mov %0, %%ds" ::"r"(zero));
  if (es) __asm__ volatile("mov %0, %%es" ::"r"(zero));
  if (fs) __asm__ volatile("mov %0, %%fs" ::"r"(zero));
  if (gs) __asm__ volatile("mov %0, %%gs" ::"r"(zero));
}

// A host that is a guest itself (PVM) refuses to return to a stack pointer that is no address, which the manual allows. So
// that is loaded behind the return: mov rsp, imm64; jmp [rip]; .quad target.
static uint64_t by_way_of_stack_loader(uint64_t rsp, uint64_t target) {
  static const uint8_t MOV_RSP[] = {0x48, 0xbc}, JMP_NEXT[] = {0xff, 0x25, 0, 0, 0, 0};
  memcpy(stack_loader, MOV_RSP, 2);
  memcpy(stack_loader + 2, &rsp, 8);
  memcpy(stack_loader + 10, JMP_NEXT, 6);
  memcpy(stack_loader + 16, &target, 8);
  return (uint64_t)stack_loader;
}

static int is_canonical(uint64_t address) { return (uint64_t)((int64_t)(address << 16) >> 16) == address; }

static void start_instance(ucontext_t *context) {
  mcontext_t *machine = &context->uc_mcontext;
  memcpy(&current, next_instance, sizeof current);
  window_data = next_instance + sizeof current;
  next_instance = window_data + ((current.window_bytes + 15u) & ~15u);
  apply_window(0);
  for (int i = 0; i < 16; i++) machine->gregs[GREG[i]] = (greg_t)current.gpr[i];
  machine->gregs[REG_EFL] = (greg_t)current.rflags;
  machine->gregs[REG_RIP] = (greg_t)current.rip;
  uint64_t rsp = current.gpr[RSP];
  if (!is_canonical(rsp)) {
    machine->gregs[REG_RSP] = 0;
    machine->gregs[REG_RIP] = (greg_t)by_way_of_stack_loader(rsp, current.rip);
  }
  uint8_t *fx = (uint8_t *)machine->fpregs;
  memcpy(fx, current.fx, 28); // not MXCSR_MASK
  memcpy(fx + 32, current.fx + 32, FX_BYTES - 32);
  uint64_t features; // the XSAVE header: x87 and SSE state come from the frame
  memcpy(&features, fx + 512, 8);
  features = 3;
  memcpy(fx + 512, &features, 8);
  started++;
}

static void on_trap(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  reset_segments();
  write_fs(own_fs);
  if (!begun) {
    begun = 1;
    memcpy(&own_context, &context->uc_mcontext, sizeof own_context);
    memcpy(own_fx, context->uc_mcontext.fpregs, sizeof own_fx);
  } else {
    finish_instance(signal, info, context);
  }
  if (started < header.count) {
    start_instance(context);
    reset_segments();
    write_gs(header.gs_base);
    load_sticky_flags(current.rflags);
    write_fs(header.fs_base);
    return;
  }
  memcpy(context->uc_mcontext.gregs, own_context.gregs, sizeof own_context.gregs);
  memcpy(context->uc_mcontext.fpregs, own_fx, FX_BYTES);
}

// An instance that runs for two ticks is cut off; it shows as SIGALRM.
static void on_tick(int signal, siginfo_t *info, void *opaque) {
  if (!begun || started == 0) return;
  if (ticks_at != started) {
    ticks_at = started;
    return;
  }
  on_trap(signal, info, opaque);
}

static uint8_t *read_all(size_t *bytes) {
  size_t room = 1u << 24, used = 0;
  uint8_t *buffer = malloc(room);
  for (;;) {
    ssize_t got = read(0, buffer + used, room - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) die("read");
    if (got == 0) break;
    used += (size_t)got;
    if (used == room) buffer = realloc(buffer, room *= 2);
  }
  *bytes = used;
  return buffer;
}

static uint8_t *place(uint64_t address, size_t bytes, int protection, int fd, off_t offset) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void *want = (void *)address;
  uint8_t *got = mmap(want, bytes, protection, flags | (address ? MAP_FIXED_NOREPLACE : 0), fd, offset);
  if (got == MAP_FAILED || (address && got != want)) die("mmap");
  return got;
}

static void map_pages(uint8_t *code) {
  size_t code_room = (header.code_bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
  uint8_t *at = place(header.code_base, code_room, PROT_READ | PROT_WRITE, -1, 0);
  memcpy(at, code, header.code_bytes);
  if (mprotect(at, code_room, PROT_READ | PROT_EXEC) != 0) die("mprotect");
  size_t data_bytes = (size_t)header.page_count * PAGE;
  int fd = memfd_create("isa-data", 0);
  if (fd < 0 || ftruncate(fd, (off_t)data_bytes) != 0) die("memfd");
  alias = place(0, data_bytes, PROT_READ | PROT_WRITE, fd, 0);
  memcpy(alias, background, data_bytes);
  for (uint32_t page = 0; page < header.page_count; page++) {
    if (prot[page] == 0) continue;
    int protection = prot[page] == 1 ? PROT_READ : PROT_READ | PROT_WRITE;
    uint8_t *mapped = place(header.data_base + (uint64_t)page * PAGE, PAGE, protection, fd, (off_t)page * PAGE);
    (void)*(volatile uint8_t *)mapped;
  }
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(signal, &action, NULL) != 0) die("sigaction");
}

// Linux shows the number of the processor in the limit of a segment (LSL of selector 0x7b). Rookery has one alone.
// Where the first one may not be used, an instance that asks for that limit differs.
static void stay_on_first_processor(void) {
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  sched_setaffinity(0, sizeof first, &first);
}

int main(void) {
  size_t bytes;
  stay_on_first_processor();
  input = read_all(&bytes);
  if (bytes < sizeof header) die("short input");
  memcpy(&header, input, sizeof header);
  if (header.magic != MAGIC) die("bad magic");
  // The header is followed by the page protections (padded to 16), the background and the code (padded).
  prot = input + sizeof header;
  background = prot + ((header.page_count + 15u) & ~15u);
  uint8_t *code = background + (size_t)header.page_count * PAGE;
  next_instance = code + ((header.code_bytes + 15u) & ~15u);
  map_pages(code);
  stack_loader = place(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, -1, 0);
  output_room = (size_t)header.count * (sizeof(struct result) + 64) + (1u << 20);
  output = mmap(NULL, output_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (output == MAP_FAILED) die("mmap");
  out_next = output;

  size_t stack_bytes = 1u << 18;
  stack_t stack = {.ss_sp = mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   .ss_size = stack_bytes};
  if (sigaltstack(&stack, NULL) != 0) die("sigaltstack");
  static const int traps[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
  for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) install(traps[i], on_trap);
  install(SIGALRM, on_tick);
  struct itimerval every = {{0, 200000}, {0, 200000}};
  setitimer(ITIMER_REAL, &every, NULL);

  own_fs = read_fs();
  write_gs(header.gs_base);
  if (header.count > 0) __asm__ volatile("int3" ::: "memory");
  for (uint8_t *from = output; from < out_next;) {
    ssize_t wrote = write(1, from, (size_t)(out_next - from));
    if (wrote < 0 && errno != EINTR) die("write");
    if (wrote > 0) from += wrote;
  }
  return 0;
}
