/* SPDX-License-Identifier: MIT */
/* Internal. Memory of one object: every block an object needs comes from its pool and goes with
 * it, so that create has one failure check and destroy one call. */
#ifndef PEER_NN_POOL_H
#define PEER_NN_POOL_H

#include "nn/context.h"

struct peer_pool {
    struct peer_ctx *ctx;
    void *blocks; /* newest first */
    bool failed;  /* an allocation failed; the context holds the reason */
    size_t bytes; /* taken from the context so far; SIZE_MAX on overflow */
};

/* Zeroed memory for n0*n1*n2 elements of `elem` bytes, aligned to 64 bytes; sizes of 0 give a
 * valid pointer. On overflow, a negative size or lack of memory: NULL, pool->failed is set and the
 * context's error names `what` and the sizes. A pool whose ctx is NULL measures: it allocates
 * nothing, returns NULL and adds up `bytes`, so that the code that creates an object also tells
 * how much it takes. */
void *peer_pool_alloc(struct peer_pool *pool, const char *what, size_t elem, int64_t n0, int64_t n1,
                      int64_t n2);

/* Shorthands for the common element types. */
float *peer_pool_floats(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1);
int32_t *peer_pool_ids(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1);

/* Threads of the pool's context; 1 where it measures. */
int peer_pool_threads(const struct peer_pool *pool);

/* Frees every block. Safe on a zeroed pool. */
void peer_pool_free(struct peer_pool *pool);

/* a*b and a+b for byte counts; both saturate at SIZE_MAX, which no allocation grants. */
size_t peer_size_mul(size_t a, size_t b);
size_t peer_size_add(size_t a, size_t b);

#endif
