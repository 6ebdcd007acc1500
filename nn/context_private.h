/* SPDX-License-Identifier: MIT */
/* Internal. What is inside a context; only nn/ looks. */
#ifndef PEER_NN_CONTEXT_PRIVATE_H
#define PEER_NN_CONTEXT_PRIVATE_H

#include "nn/context.h"

struct peer_kernels;

enum { PEER_MOST_THREADS = 1024 };

struct peer_ctx {
    int threads;
    enum peer_cpu cpu;
    bool huge_pages;
    bool uses_blas;
    struct peer_allocator allocator;
    size_t bytes, bytes_peak;
    const struct peer_kernels *kernels;
    char error[512];
};

/* The kernels of a level; see nn/kernels/kernels.h. */
const struct peer_kernels *peer_kernels_for(enum peer_cpu cpu);

/* Zeroed, 64-byte aligned memory from the context's allocator, or NULL. */
void *peer_ctx_alloc(struct peer_ctx *ctx, size_t bytes);
void peer_ctx_release(struct peer_ctx *ctx, void *memory, size_t bytes);

#endif
