/* SPDX-License-Identifier: MIT */
#include "nn/kernels.h"

#include "nn/context_private.h"
#include "nn/kernels_ref.h"

static const struct peer_kernels ref_kernels = {
#define PEER_KERNEL_REF(name, arguments) .name = peer_##name##_ref,
    PEER_KERNELS(PEER_KERNEL_REF)
#undef PEER_KERNEL_REF
};

const struct peer_kernels *peer_kernels_for(enum peer_cpu cpu)
{
    (void)cpu;
    return &ref_kernels;
}

const struct peer_kernels *peer_kernels(const struct peer_ctx *ctx)
{
    return ctx->kernels;
}
