/* SPDX-License-Identifier: MIT */
#include "nn/kernels/kernels.h"

#include "nn/context_private.h"
#include "nn/kernels/kernels_ref.h"

#define PEER_KERNEL_REF(name, arguments) .name = peer_##name##_ref,
static const struct peer_kernels ref_kernels = {PEER_KERNELS(PEER_KERNEL_REF)};
#undef PEER_KERNEL_REF

#ifdef PEER_X86
#define PEER_KERNEL_DECLARE(name, arguments)                                                       \
    peer_##name##_fn peer_##name##_avx2, peer_##name##_avx512;
PEER_KERNELS(PEER_KERNEL_DECLARE)
#undef PEER_KERNEL_DECLARE

#define PEER_KERNEL_AVX2(name, arguments) .name = peer_##name##_avx2,
static const struct peer_kernels avx2_kernels = {PEER_KERNELS(PEER_KERNEL_AVX2)};
#undef PEER_KERNEL_AVX2

#define PEER_KERNEL_AVX512(name, arguments) .name = peer_##name##_avx512,
static const struct peer_kernels avx512_kernels = {PEER_KERNELS(PEER_KERNEL_AVX512)};
#undef PEER_KERNEL_AVX512
#endif

const struct peer_kernels *peer_kernels_for(enum peer_cpu cpu)
{
    switch (cpu) {
#ifdef PEER_X86
    case PEER_CPU_AVX512:
        return &avx512_kernels;
    case PEER_CPU_AVX2:
        return &avx2_kernels;
#endif
    default:
        return &ref_kernels;
    }
}

const struct peer_kernels *peer_kernels(const struct peer_ctx *ctx)
{
    return ctx->kernels;
}

bool peer_kernels_have_bf16(const struct peer_ctx *ctx)
{
#ifdef PEER_X86
    return ctx->cpu == PEER_CPU_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
    (void)ctx;
    return false;
#endif
}
