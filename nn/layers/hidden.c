/* SPDX-License-Identifier: MIT */
#include "nn/layers/hidden.h"

#include "nn/parallel.h"

enum { CHUNK = 1024 }; /* values that one call of a kernel activates */

void peer_hidden_forward(const struct peer_kernels *kernels, float *hidden, const float *in,
                         const float *gate, int64_t n, enum peer_act act)
{
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t end = peer_min(at + CHUNK, n);
        kernels->act_forward(hidden + at, gate ? gate + at : in + at, end - at, act);
        for (int64_t i = at; gate && i < end; i++)
            hidden[i] *= in[i];
    }
}

static void backward_chunk(const struct peer_kernels *kernels, float *in, float *gate,
                           const float *dhidden, int64_t n, enum peer_act act)
{
    float work[CHUNK];
    if (!gate) {
        kernels->act_slope(work, in, n, act);
        for (int64_t i = 0; i < n; i++)
            in[i] = dhidden[i] * work[i];
        return;
    }
    float slope[CHUNK];
    kernels->act_forward(work, gate, n, act);
    kernels->act_slope(slope, gate, n, act);
    for (int64_t i = 0; i < n; i++) {
        gate[i] = dhidden[i] * in[i] * slope[i];
        in[i] = dhidden[i] * work[i];
    }
}

void peer_hidden_backward(const struct peer_kernels *kernels, float *in, float *gate,
                          const float *dhidden, int64_t n, enum peer_act act)
{
    for (int64_t at = 0; at < n; at += CHUNK)
        backward_chunk(kernels, in + at, gate ? gate + at : NULL, dhidden + at,
                       peer_min(CHUNK, n - at), act);
}
