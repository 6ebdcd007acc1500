/* SPDX-License-Identifier: MIT */
#include "nn/pool.h"

#include "nn/context_private.h"

struct block {
    struct block *next;
    size_t bytes; /* header included */
};

/* Blocks start 64 bytes in, so that the data keeps the allocator's alignment. */
enum { HEADER_BYTES = 64 };

size_t peer_size_mul(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

size_t peer_size_add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

void *peer_pool_alloc(struct peer_pool *pool, const char *what, size_t elem, int64_t n0, int64_t n1,
                      int64_t n2)
{
    size_t bytes = SIZE_MAX;
    if (n0 >= 0 && n1 >= 0 && n2 >= 0)
        bytes =
            peer_size_mul(peer_size_mul(peer_size_mul(elem, (size_t)n0), (size_t)n1), (size_t)n2);
    size_t total = peer_size_add(bytes, HEADER_BYTES);
    pool->bytes = peer_size_add(pool->bytes, total);
    if (!pool->ctx)
        return NULL;
    struct block *block = total == SIZE_MAX ? NULL : peer_ctx_alloc(pool->ctx, total);
    if (!block) {
        pool->failed = true;
        peer_fail(pool->ctx, PEER_ERR_MEMORY, "%s: no memory for [%lld, %lld, %lld] x %zu bytes",
                  what, (long long)n0, (long long)n1, (long long)n2, elem);
        return NULL;
    }
    block->next = pool->blocks;
    block->bytes = total;
    pool->blocks = block;
    return (char *)block + HEADER_BYTES;
}

float *peer_pool_floats(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1)
{
    return peer_pool_alloc(pool, what, sizeof(float), n0, n1, 1);
}

int32_t *peer_pool_ids(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1)
{
    return peer_pool_alloc(pool, what, sizeof(int32_t), n0, n1, 1);
}

int peer_pool_threads(const struct peer_pool *pool)
{
    return pool->ctx ? peer_ctx_threads(pool->ctx) : 1;
}

void peer_pool_free(struct peer_pool *pool)
{
    struct block *block = pool->blocks;
    while (block) {
        struct block *next = block->next;
        peer_ctx_release(pool->ctx, block, block->bytes);
        block = next;
    }
    pool->blocks = NULL;
    pool->bytes = 0;
}
