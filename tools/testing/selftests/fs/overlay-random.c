// SPDX-License-Identifier: Apache-2.0
// random.c on an overlay whose lower layer is the tree.
#define OVERLAY
#include "random.c"
