// SPDX-License-Identifier: Apache-2.0
// The matrix of paths.c on an overlay whose lower layer is the tree.
#define OVERLAY
#include "paths.c"
