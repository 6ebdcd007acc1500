/* SPDX-License-Identifier: MIT */
/* libpeer: product-key retrieval, PKM and PEER layers, dense layers, mixtures of experts and
 * row-sparse optimizers for the CPU. This header includes all public ones.
 *
 * The letters, the papers' own, wherever shapes are written:
 *   T tokens          D model width        H heads           N experts or memories
 *   n sub-keys per half (N = n*n)          K query width per head (two halves of K/2)
 *   k kept per head   E coarse experts     F hidden width    L blocks    V vocabulary
 *
 * Conventions: outputs come first, inputs are const, gradients carry the prefix d; forward writes,
 * backward adds. Arrays are row-major float. Sizes are int64_t, ids int32_t. Fallible functions
 * return enum peer_status and leave outputs untouched on failure; forward, backward and step are
 * infallible, allocate nothing and assert. Destroy takes the address and accepts NULL. */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "moe/moe.h"
#include "nn/activation.h"
#include "nn/context.h"
#include "nn/cost.h"
#include "nn/layers/dense.h"
#include "nn/layers/ffw.h"
#include "nn/layers/norm.h"
#include "nn/optim/optim.h"
#include "nn/option.h"
#include "nn/params/access.h"
#include "nn/params/names.h"
#include "nn/params/bind.h"
#include "nn/params/param.h"
#include "nn/params/weights.h"
#include "nn/random.h"
#include "nn/status.h"
#include "nn/tables/rows.h"
#include "nn/tables/table.h"
#include "nn/tables/table_file.h"
#include "nn/tables/table_undo.h"
#include "nn/version.h"
#include "peer/experts.h"
#include "peer/foreign.h"
#include "peer/layer.h"
#include "peer/types.h"
#include "pkm/layer.h"
#include "pkm/retrieval.h"
#include "pkm/search.h"
#include "pkm/values.h"

#endif
