/* SPDX-License-Identifier: MIT */
/* Internal. The one parallel loop. Work is cut into tiles whose size never depends on the number
 * of threads; a tile writes only what no other tile writes, so that bits do not either. */
#ifndef PEER_NN_PARALLEL_H
#define PEER_NN_PARALLEL_H

#include "nn/context.h"

/* `thread` is 0 ... threads-1, for per-thread scratch only. */
typedef void peer_tile_fn(void *job, int64_t tile, int thread);

/* Runs tile(job, 0 ... tiles-1, thread), each once, in no stated order. BLAS calls made inside a
 * tile are single-threaded. */
void peer_parallel(const struct peer_ctx *ctx, int64_t tiles, peer_tile_fn *tile, void *job);

/* Number of tiles of `size` in `count`. */
static inline int64_t peer_tiles(int64_t count, int64_t size)
{
    return count / size + (count % size > 0);
}

static inline int64_t peer_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
