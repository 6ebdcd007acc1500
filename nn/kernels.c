/* SPDX-License-Identifier: MIT */
#include "nn/kernels.h"

#include "nn/context_private.h"

const struct peer_kernels *peer_kernels(const struct peer_ctx *ctx)
{
    return ctx->kernels;
}
