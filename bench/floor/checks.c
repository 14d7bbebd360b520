// SPDX-License-Identifier: Apache-2.0
// What code with checks of its accesses calls (floor.sh). The shadow is zeros, so no check ever fails.

#include <stddef.h>

#ifndef __wasm__
#include <sys/mman.h>

__attribute__((constructor)) static void map_shadow(void) {
  mmap((void *)0x100000000000, 1ull << 44, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}
#endif

#define OF_SIZE(n) \
  void __asan_report_load##n(void *at) { __builtin_trap(); } \
  void __asan_report_store##n(void *at) { __builtin_trap(); } \
  void __asan_report_load##n##_noabort(void *at) { __builtin_trap(); } \
  void __asan_report_store##n##_noabort(void *at) { __builtin_trap(); }
OF_SIZE(1)
OF_SIZE(2)
OF_SIZE(4)
OF_SIZE(8)
OF_SIZE(16)

void __asan_report_load_n(void *at, size_t n) { __builtin_trap(); }
void __asan_report_store_n(void *at, size_t n) { __builtin_trap(); }
void __asan_report_load_n_noabort(void *at, size_t n) { __builtin_trap(); }
void __asan_report_store_n_noabort(void *at, size_t n) { __builtin_trap(); }
void __asan_loadN_noabort(void *at, size_t n) {}
void __asan_storeN_noabort(void *at, size_t n) {}
void __asan_handle_no_return(void) {}
void __asan_init(void) {}
void __asan_version_mismatch_check_v8(void) {}
void __asan_register_globals(void *globals, size_t n) {}
void __asan_unregister_globals(void *globals, size_t n) {}
void __asan_before_dynamic_init(void *module) {}
void __asan_after_dynamic_init(void) {}
void *__asan_memset(void *to, int byte, size_t n) { return __builtin_memset(to, byte, n); }
void *__asan_memcpy(void *to, const void *from, size_t n) { return __builtin_memcpy(to, from, n); }
void *__asan_memmove(void *to, const void *from, size_t n) { return __builtin_memmove(to, from, n); }
