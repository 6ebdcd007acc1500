/* SPDX-License-Identifier: MIT */
/* The context: threads, instruction set, memory and the text of the last error. It is the first
 * argument of every fallible function. Thread-safety: one thread uses a context at a time; use
 * one context per thread otherwise. Objects keep the context they were created with, which must
 * outlive them.
 *
 * After fork() the child may use its copies of contexts and objects, and create new ones: the bits
 * are the same. OpenMP's threads do not live on there, so each call starts threads of its own and
 * ends them. Fork while no other thread is inside the library. */
#ifndef PEER_NN_CONTEXT_H
#define PEER_NN_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Instruction-set levels of the kernels, lowest first. */
enum peer_cpu {
    PEER_CPU_REF = 0, /* plain C */
    PEER_CPU_AVX2,    /* AVX2 and FMA */
    PEER_CPU_AVX512,  /* AVX-512 F, BW, DQ, VL */
    PEER_CPU_COUNT
};

/* "ref", "avx2", "avx512". Never NULL. */
PEER_API const char *peer_cpu_name(enum peer_cpu cpu);

/* The level called `name`, or -1. */
PEER_API int peer_cpu_from_name(const char *name);

/* The highest level this machine runs. */
PEER_API enum peer_cpu peer_cpu_detect(void);

/* Where the memory of objects comes from; the context itself is a few hundred bytes of the
 * system's. `alloc` returns zeroed memory aligned to 64 bytes, or NULL; `release`
 * gets the same byte count back. Both or neither are set. */
struct peer_allocator {
    void *(*alloc)(void *user, size_t bytes);
    void (*release)(void *user, void *memory, size_t bytes);
    void *user;
};

struct peer_ctx_config {
    int threads;           /* worker threads, 1 ... 1024; 0 = as many as OpenMP offers. Default 0 */
    enum peer_cpu cpu_max; /* highest kernel level to use. Default PEER_CPU_AVX512 */
    bool huge_pages;       /* ask for huge pages for blocks of 4 MiB and more. Default true */
    struct peer_allocator allocator; /* default: the system's */
};

struct peer_ctx;

PEER_API struct peer_ctx_config peer_ctx_config_default(void);

/* Creates a context; `config` may be NULL for the defaults and is not kept. On failure *ret is
 * untouched. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY. */
PEER_API enum peer_status peer_ctx_create(struct peer_ctx **ret,
                                          const struct peer_ctx_config *config);

/* Frees the context and sets *ctx to NULL; NULL and &(NULL) are fine. */
PEER_API void peer_ctx_destroy(struct peer_ctx **ctx);

/* The reason for the last failure, naming the function and the numbers that disagree; "" before
 * any. Owned by the context, valid until its next failure. */
PEER_API const char *peer_ctx_error(const struct peer_ctx *ctx);

PEER_API int peer_ctx_threads(const struct peer_ctx *ctx);
PEER_API enum peer_cpu peer_ctx_cpu(const struct peer_ctx *ctx);

/* Where a BLAS's threads come from. */
enum peer_blas_kind {
    PEER_BLAS_SERIAL = 0, /* it has none */
    PEER_BLAS_PTHREADS,   /* it starts its own */
    PEER_BLAS_OPENMP,     /* OpenMP, as the library's */
};

/* The OpenBLAS that the program runs on. It chooses its core when it is loaded; the environment's
 * OPENBLAS_CORETYPE overrides that, which the library neither reads nor sets. */
struct peer_blas {
    const char *name;         /* version and build, as it describes itself */
    const char *core;         /* the CPU that its kernels were written for, such as "Haswell" */
    enum peer_blas_kind kind; /* where its threads come from */
    int threads;              /* how many it takes where it is called outside of the library */
    enum peer_cpu level;      /* of its core; a core without fused multiply-add is plain */
    bool below;               /* the core's level is below this machine's: several times slower */
    bool used; /* by this context, inside tiles on one thread each. False unless its threads are
                  OpenMP's (those of another kind the host may change), where its core is below the
                  context's level, and where the machine cannot run it: then all products are by the
                  library's kernels. Either way bits are the same for any number of threads */
};

/* Texts are the BLAS's own and stay. */
PEER_API struct peer_blas peer_ctx_blas(const struct peer_ctx *ctx);

/* Bytes now held, and the most ever held, by objects of this context. */
PEER_API size_t peer_ctx_bytes(const struct peer_ctx *ctx);
PEER_API size_t peer_ctx_bytes_peak(const struct peer_ctx *ctx);

/* Sets the error text and returns `status`, so that a failure is one line:
 *     return peer_fail(ctx, PEER_ERR_ARGUMENT, "pkm_index_create: n = %ld, want >= 1", n);
 * For callers that build their own fallible functions on a context. */
PEER_API enum peer_status peer_fail(struct peer_ctx *ctx, enum peer_status status,
                                    const char *format, ...) PEER_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
