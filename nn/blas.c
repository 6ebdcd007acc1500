/* SPDX-License-Identifier: MIT */
#include "nn/blas.h"

#include <cblas.h>
#include <strings.h>

#include "nn/context_private.h"

/* OpenBLAS's names. What has AVX without fused multiply-add counts as plain. */
static const char *const plain[] = {
    "unknown", "generic",   "katmai", "coppermine", "northwood", "prescott",     "banias",
    "atom",    "core2",     "penryn", "dunnington", "nehalem",   "sandybridge",  "athlon",
    "opteron", "barcelona", "nano",   "bobcat",     "bulldozer", "opteron_sse3", "piledriver"};
static const char *const avx2[] = {"haswell", "zen", "excavator", "steamroller"};
static const char *const avx512[] = {"skylakex", "cooperlake", "sapphirerapids"};

static bool among(const char *core, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(core, names[i]) == 0)
            return true;
    return false;
}

#define AMONG(core, names) among(core, names, sizeof names / sizeof *names)

enum peer_cpu peer_blas_level(const char *core)
{
    if (AMONG(core, plain))
        return PEER_CPU_REF;
    if (AMONG(core, avx2))
        return PEER_CPU_AVX2;
    return AMONG(core, avx512) ? PEER_CPU_AVX512 : peer_cpu_detect();
}

struct peer_blas peer_blas_find(void)
{
    struct peer_blas blas = {.name = openblas_get_config(),
                             .core = openblas_get_corename(),
                             .threads = openblas_get_num_threads()};
    int kind = openblas_get_parallel();
    blas.kind = kind == OPENBLAS_OPENMP   ? PEER_BLAS_OPENMP
                : kind == OPENBLAS_THREAD ? PEER_BLAS_PTHREADS
                                          : PEER_BLAS_SERIAL;
    blas.level = peer_blas_level(blas.core);
    blas.below = blas.level < peer_cpu_detect();
    return blas;
}

bool peer_blas_suits(struct peer_blas blas, enum peer_cpu cpu)
{
    return blas.kind == PEER_BLAS_OPENMP && blas.level >= cpu && blas.level <= peer_cpu_detect();
}

struct peer_blas peer_ctx_blas(const struct peer_ctx *ctx)
{
    struct peer_blas blas = peer_blas_find();
    blas.used = ctx->uses_blas;
    return blas;
}
