/* SPDX-License-Identifier: MIT */
/* Internal. Random numbers of training passes, and the learned noise of Shazeer et al. 2017,
 *   h = x Wr^T + z softplus(x Wn^T) + 0.01 z,  z ~ N(0, 1)   (eq. 4, with a floor under softplus).
 * Key and count are buffers of the layer: drawn at initialisation by the layer's name, saved and
 * loaded with the weights, so that a resumed run draws what an uninterrupted one would. */
#ifndef PEER_MOE_NOISE_H
#define PEER_MOE_NOISE_H

#include "moe/router.h"

struct peer_moe_random {
    float *key;   /* [2]: their bits are the seed */
    float *count; /* [2]: passes so far, low 20 bits and the rest */
};

/* The seed, and a stream for the next pass; moves the count. */
void peer_moe_draw(const struct peer_moe_random *random, uint64_t *seed, uint64_t *stream);

/* n uniform values in [low, high), or n normal ones. */
void peer_moe_uniform(const struct peer_ctx *ctx, float *x, int64_t n, float low, float high,
                      uint64_t seed, uint64_t stream);
void peer_moe_normal(const struct peer_ctx *ctx, float *x, int64_t n, uint64_t seed,
                     uint64_t stream);

struct peer_moe_noise {
    float *clean, *raw;   /* [T, E]: x Wr^T, x Wn^T */
    float *normal;        /* [T, E]: z */
    float *dclean, *draw; /* [T, E] */
    float *top;           /* [T, k + 1]: largest noisy logits */
    int32_t *top_ids;
};

/* Writes the noisy logits [n]. */
void peer_moe_add_noise(float *logits, const struct peer_moe_noise *noise, int64_t n);

/* Coefficient times CV^2 of the expected loads, sum over tokens of
 *   P_te = Phi((clean_te - threshold) / deviation_te)                        (eqs. 9 to 11)
 * where the threshold is the k-th largest noisy logit of the token's other experts; P = 1 for
 * k = E. The logits are the noisy ones. With `gradients` it writes dclean, and draw with the
 * deviation's gradient, and adds the threshold's to dlogits; without, dlogits may be NULL. */
double peer_moe_load_loss(const struct peer_ctx *ctx, float *dlogits,
                          const struct peer_moe_noise *noise, const struct peer_moe_routes *r,
                          float coefficient, float scale, bool gradients, double *work);

/* After it: adds dlogits to dclean and turns draw into the gradient of raw, for n values. */
void peer_moe_noise_backward(const struct peer_moe_noise *noise, const float *dlogits, int64_t n);

#endif
