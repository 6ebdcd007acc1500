/* SPDX-License-Identifier: MIT */
/* Internal. A mixture as an object behind the slot. */
#ifndef PEER_MOE_LAYER_H
#define PEER_MOE_LAYER_H

#include "moe/config.h"
#include "moe/experts.h"
#include "moe/noise.h"

struct peer_moe {
    struct peer_pool pool;
    struct peer_moe_config config;
    struct peer_ffw_shape shape;
    struct peer_moe_rule rule;
    int64_t trained; /* T of the last training forward pass, -1 after any other */

    struct peer_moe_experts experts;
    float *router, *drouter; /* [E, D] */
    struct peer_moe_routes routes;
    float *dlogits, *dscores, *dgates; /* [T, E], [T, E], [T, R] */
    float *scratch;                    /* [T, E], or [2 E, T] of expert choice */
    int32_t *taken;                    /* [E, T] of expert choice */
    int64_t *used;                     /* [E] */
    double *work;                      /* [2 E] */
    uint8_t *mask;                     /* [T], as given */
    uint8_t *lost, *served;            /* [T]: logits are not finite; mask without these */
    bool masked;                       /* a mask was given */

    struct peer_moe_random random;
    bool noisy;                          /* the last forward pass drew noise */
    float *noise_router, *dnoise_router; /* [E, D] of noisy_topk */
    struct peer_moe_noise noise;
    float *jitter, *jittered; /* [T, D] of switch */
    float *uniform;           /* [T] of gshard */
    float *bias;              /* [E] of deepseek */

    struct peer_dense_config shared;
    float *shared_in, *shared_gate, *shared_out;
    struct peer_dense_gradients shared_gradients;
    struct peer_dense_cache shared_cache;

    float loss_scale;
    struct peer_ffw_loss losses[PEER_FFW_LOSSES];
    int loss_count;
};

enum peer_status peer_moe_check_shape(struct peer_ctx *ctx, const struct peer_moe_config *config,
                                      const struct peer_ffw_shape *shape);
size_t peer_moe_memory(const struct peer_moe_config *config, const struct peer_ffw_shape *shape);
enum peer_status peer_moe_create(struct peer_moe **ret, struct peer_ctx *ctx,
                                 const struct peer_moe_config *config,
                                 const struct peer_ffw_shape *shape);
void peer_moe_destroy(struct peer_moe **layer);
enum peer_status peer_moe_params(struct peer_moe *layer, struct peer_params *list,
                                 const char *prefix);

/* As the slot's. */
void peer_moe_forward(struct peer_moe *layer, float *y, const float *x, const uint8_t *mask,
                      int64_t T, enum peer_mode mode);
void peer_moe_backward(struct peer_moe *layer, float *dx, const float *dy, const float *x,
                       int64_t T);

#endif
