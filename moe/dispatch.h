/* SPDX-License-Identifier: MIT */
/* Internal. Who works on what: (token, expert) pairs sorted by expert, then by token. */
#ifndef PEER_MOE_DISPATCH_H
#define PEER_MOE_DISPATCH_H

#include "nn/pool.h"

enum { PEER_MOE_BLOCK = 64 };

struct peer_moe_dispatch {
    int64_t entries, blocks;
    int32_t *offsets; /* [E + 1] */
    int32_t *token;   /* [entries] */
    int32_t *place;   /* [T, R]: entry of ids[t, i], -1 = none */
    /* [blocks]: entries of one expert, at most PEER_MOE_BLOCK; its blocks follow one another. */
    int32_t *block_expert, *block_from;
};

/* Arrays of a dispatch of at most `entries` entries of T tokens with R experts each. */
void peer_moe_dispatch_alloc(struct peer_moe_dispatch *by, struct peer_pool *pool, int64_t entries,
                             int64_t T, int64_t E, int64_t R);

/* Sorts ids [T, R], of which -1 is nothing. */
void peer_moe_dispatch_sort(struct peer_moe_dispatch *by, const int32_t *ids, int64_t T, int64_t E,
                            int64_t R);

/* Entries in the block of expert e that begins at entry `from`. */
int64_t peer_moe_block_size(const struct peer_moe_dispatch *by, int64_t e, int64_t from);

#endif
