/* SPDX-License-Identifier: MIT */
#include "nn/parallel.h"

#include <omp.h>

#include "nn/context_private.h"

void peer_parallel(const struct peer_ctx *ctx, int64_t tiles, peer_tile_fn *tile, void *job)
{
    if (tiles < 1)
        return;
    /* One thread or all: between teams of other sizes OpenMP ends threads and starts new ones. */
    int threads = tiles == 1 ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads)
    {
        /* In a team of one, OpenBLAS would start threads of its own and change the order of its
         * sums; this setting ends with the region. */
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < tiles; i++)
            tile(job, i, omp_get_thread_num());
    }
}
