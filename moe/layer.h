/* SPDX-License-Identifier: MIT */
/* Internal. A mixture as an object behind the slot. */
#ifndef PEER_MOE_LAYER_H
#define PEER_MOE_LAYER_H

#include "moe/config.h"
#include "moe/experts.h"
#include "moe/noise.h"
#include "nn/layers/ffw_object.h"

/* Weights and gradients. */
struct peer_moe {
    struct peer_ffw base;
    struct peer_moe_config config; /* as peer_moe_read() has it */
    struct peer_moe_gating gating;
    struct peer_moe_experts experts;
    float *router, *drouter;             /* [E, D] */
    float *noise_router, *dnoise_router; /* [E, D]; NULL without noise */
    float *bias;                         /* [E] where it may be loss_free, else NULL */
    /* Since the last step; NULL where nobody asks. */
    int64_t *load;         /* [E]: choices in backward passes, for the bias */
    int64_t *chosen;       /* [E]: choices in forward passes for training, for the balance loss */
    int64_t chosen_tokens; /* of these passes */
    struct peer_moe_random random;   /* moved by training passes */
    struct peer_dense_config shared; /* hidden 0 = none */
    float *shared_in, *shared_gate, *shared_out;
    struct peer_dense_gradients shared_gradients;
};

struct peer_moe_cache {
    struct peer_ffw_cache base;
    struct peer_moe_experts_cache experts;
    struct peer_dense_cache shared;
    struct peer_moe_routes routes;
    float *dlogits, *dscores, *dgates; /* [T, E], [T, E], [T, R] */
    float *scratch;                    /* [T, E], or [2 E, T] where experts choose; else NULL */
    int32_t *taken;                    /* [E, T] where experts choose */
    int64_t *used;                     /* [E] */
    int64_t *chosen;                   /* [E]: the layer's, with this pass; NULL like it */
    double *work;                      /* [2 E] */
    uint8_t *lost, *served;            /* [T]: logits are not finite; mask without these */

    bool noisy; /* the last forward pass drew noise */
    struct peer_moe_noise noise;
    float *jitter, *jittered; /* [T, D]; NULL without jitter */
    float *uniform;           /* [T]; NULL without a threshold */

    struct peer_ffw_loss losses[PEER_FFW_LOSSES];
    int loss_count;
};

static inline struct peer_moe *peer_moe_of(struct peer_ffw *layer)
{
    return (struct peer_moe *)(void *)layer;
}

/* As the slot's. */
enum peer_status peer_moe_build(struct peer_ffw *layer);
enum peer_status peer_moe_build_cache(struct peer_ffw_cache *cache);
enum peer_status peer_moe_params(struct peer_ffw *layer, struct peer_params *list,
                                 const char *prefix);
void peer_moe_forward(struct peer_ffw_cache *cache, float *y, const struct peer_ffw_batch *batch,
                      enum peer_mode mode);
void peer_moe_backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                       const struct peer_ffw_batch *batch);
void peer_moe_step(struct peer_ffw *layer);
void peer_moe_routing(const struct peer_ffw_cache *cache, struct peer_routing *ret);
int peer_moe_losses(const struct peer_ffw_cache *cache, struct peer_ffw_loss *ret);

#endif
