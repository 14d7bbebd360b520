// SPDX-License-Identifier: Apache-2.0
// Compresses a file as xz -1 does, again and again. usage: xz FILE TIMES. A line for each time: the length, and ms.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lzma.h"

int main(int argc, char **argv) {
  static uint8_t in[3000000], out[4000000];
  FILE *file = fopen(argv[1], "rb");
  size_t length = fread(in, 1, sizeof in, file);
  for (int times = atoi(argv[2]); times > 0; times--) {
    struct timespec a, b;
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 1);
    lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
    size_t position = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    lzma_ret answer = lzma_raw_buffer_encode(filters, NULL, in, length, out, &position, sizeof out);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%zx %.1f\n", answer == LZMA_OK ? position : 0, (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
  }
  return 0;
}
