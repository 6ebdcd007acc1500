/* SPDX-License-Identifier: MIT */
#include "moe/dispatch.h"

#include <string.h>

#include "nn/parallel.h"

void peer_moe_dispatch_alloc(struct peer_moe_dispatch *by, struct peer_pool *pool, int64_t entries,
                             int64_t T, int64_t E, int64_t R)
{
    int64_t blocks = entries / PEER_MOE_BLOCK + peer_min(entries, E);
    by->offsets = peer_pool_ids(pool, "moe.offsets", E + 1, 1);
    by->token = peer_pool_ids(pool, "moe.tokens of experts", entries, 1);
    by->place = peer_pool_ids(pool, "moe.places", T, R);
    by->block_expert = peer_pool_ids(pool, "moe.blocks", blocks, 1);
    by->block_from = peer_pool_ids(pool, "moe.blocks", blocks, 1);
}

void peer_moe_dispatch_sort(struct peer_moe_dispatch *by, const int32_t *ids, int64_t T, int64_t E,
                            int64_t R)
{
    int32_t *offsets = by->offsets;
    memset(offsets, 0, (size_t)(E + 1) * sizeof *offsets);
    for (int64_t i = 0; i < T * R; i++)
        if (ids[i] >= 0)
            offsets[ids[i] + 1]++;
    by->blocks = 0;
    for (int32_t e = 0; e < E; e++) {
        offsets[e + 1] += offsets[e];
        for (int32_t from = offsets[e]; from < offsets[e + 1]; from += PEER_MOE_BLOCK) {
            by->block_expert[by->blocks] = e;
            by->block_from[by->blocks++] = from;
        }
    }
    by->entries = offsets[E];
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = t * R; i < (t + 1) * R; i++) {
            by->place[i] = ids[i] < 0 ? -1 : offsets[ids[i]]++;
            if (ids[i] >= 0)
                by->token[by->place[i]] = (int32_t)t;
        }
    memmove(offsets + 1, offsets, (size_t)E * sizeof *offsets);
    offsets[0] = 0;
}

int64_t peer_moe_block_size(const struct peer_moe_dispatch *by, int64_t e, int64_t from)
{
    return peer_min(PEER_MOE_BLOCK, by->offsets[e + 1] - from);
}
