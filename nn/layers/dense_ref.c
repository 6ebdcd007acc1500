/* SPDX-License-Identifier: MIT */
#include "nn/layers/dense_ref.h"

#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"

/* y [T, out] = x [T, in] w^T, w [out, in]. */
static void product(real *y, const real *x, const real *w, int64_t T, int64_t in, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++) {
            real sum = 0;
            for (int64_t i = 0; i < in; i++) {
                sum += x[t * in + i] * w[o * in + i];
                COUNT(PEER_PART_DENSE, 2);
            }
            y[t * out + o] = sum;
        }
}

/* dx [T, in] += dy [T, out] w. */
static void product_dx(real *dx, const real *dy, const real *w, int64_t T, int64_t in, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++) {
                dx[t * in + i] += dy[t * out + o] * w[o * in + i];
                COUNT(PEER_PART_DENSE, 2);
            }
}

/* dw [out, in] += dy^T x. */
static void product_dw(real *dw, const real *dy, const real *x, int64_t T, int64_t in, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++) {
                dw[o * in + i] += dy[t * out + o] * x[t * in + i];
                COUNT(PEER_PART_DENSE, 2);
            }
}

static void clear_masked(real *array, const uint8_t *mask, int64_t T, int64_t width)
{
    for (int64_t t = 0; mask && t < T; t++)
        for (int64_t i = 0; !mask[t] && i < width; i++)
            array[t * width + i] = 0;
}

void REF(peer_dense_forward)(const struct REF(peer_dense) * l, real *y, const real *x,
                             const uint8_t *mask, int64_t T)
{
    int64_t D = l->D, F = l->F;
    product(l->in, x, l->w_in, T, D, F);
    if (l->w_gate)
        product(l->gate, x, l->w_gate, T, D, F);
    REF(peer_act_forward)(l->hidden, l->w_gate ? l->gate : l->in, T * F, l->activation);
    for (int64_t i = 0; l->w_gate && i < T * F; i++)
        l->hidden[i] *= l->in[i];
    clear_masked(l->hidden, mask, T, F);
    product(y, l->hidden, l->w_out, T, F, D);
}

void REF(peer_dense_backward)(const struct REF(peer_dense) * l, real *dx, const real *dy,
                              const real *x, const uint8_t *mask, int64_t T)
{
    int64_t D = l->D, F = l->F;
    for (int64_t i = 0; i < T * F; i++)
        l->dhidden[i] = 0;
    product_dw(l->dw_out, dy, l->hidden, T, F, D);
    product_dx(l->dhidden, dy, l->w_out, T, F, D);
    clear_masked(l->dhidden, mask, T, F);
    for (int64_t i = 0; i < T * F; i++) {
        real act, slope, z = l->w_gate ? l->gate[i] : l->in[i];
        REF(peer_act_forward)(&act, &z, 1, l->activation);
        REF(peer_act_slope)(&slope, &z, 1, l->activation);
        l->din[i] = l->dhidden[i] * (l->w_gate ? act : slope);
        if (l->w_gate)
            l->dgate[i] = l->dhidden[i] * l->in[i] * slope;
    }
    product_dx(dx, l->din, l->w_in, T, D, F);
    product_dw(l->dw_in, l->din, x, T, D, F);
    if (l->w_gate) {
        product_dx(dx, l->dgate, l->w_gate, T, D, F);
        product_dw(l->dw_gate, l->dgate, x, T, D, F);
    }
}
