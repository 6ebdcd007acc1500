/* SPDX-License-Identifier: MIT */
/* An allocator that fails on demand and knows what was not given back. */
#ifndef PEER_TESTS_SUPPORT_FAILING_H
#define PEER_TESTS_SUPPORT_FAILING_H

#include "nn/context.h"

struct failing {
    int64_t granted; /* allocations to grant before every further one fails; negative = all */
    int64_t asked;   /* allocations asked for so far */
    int64_t held;    /* blocks not released */
    size_t bytes;    /* bytes not released */
};

/* A context on `failing`, which must outlive it. Threads 1 ... 1024. Asserts that it succeeds. */
struct peer_ctx *failing_ctx(struct failing *failing, int threads);

/* Creates an object into *ret from `config`, in the way that one test wants. */
typedef enum peer_status failing_create(void **ret, struct peer_ctx *ctx, const void *config);
typedef void failing_destroy(void **object);

/* Calls create with 0, 1, 2, ... allocations granted until it succeeds, and expects each failure to
 * return PEER_ERR_MEMORY with a text, leave *ret alone and release everything; then destroys the
 * object and expects nothing to be held. Returns the number of failures. */
int64_t failing_every_allocation(failing_create *create, failing_destroy *destroy,
                                 const void *config);

#endif
