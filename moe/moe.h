/* SPDX-License-Identifier: MIT */
/* Coarse-grained mixtures of experts in the FFW slot. An expert is a whole FFW of hidden width F,
 *   FFW_e(x) = act(x W1_e^T) W2_e^T, or gated (act(x Wg_e^T) * x W1_e^T) W2_e^T,
 * a router turns logits  l_t = x_t Wr^T  [E]  into experts and gates, and
 *   y_t = sum over the experts that serve token t of  gate_te FFW_e(x_t)  (+ shared experts).
 * moe/README.md has the routers' formulas. Letters: T tokens, D width, E experts, F hidden width,
 * k experts per token.
 *
 * Logits, scores and gates are float; ties go to the lower index (expert or token). A token with a
 * logit that is not finite is served by no expert, and its y is NaN. */
#ifndef PEER_MOE_MOE_H
#define PEER_MOE_MOE_H

#include "nn/activation.h"
#include "nn/layers/ffw.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_moe_rule; /* what makes the mixtures differ: moe/rule.h */

/* Config of all the mixtures. Each type's options name the fields that it uses; the others are not
 * read. Coefficients are >= 0, 0 leaves that loss out. */
struct peer_moe_config {
    const struct peer_moe_rule *rule; /* set by the type's config_default; no option */
    int64_t experts;                  /* E (routed ones), 1 ... 65536 */
    int64_t kept;                     /* k, 1 ... E */
    int64_t hidden;                   /* F of one expert, 1 ... 2^20 */
    enum peer_act activation;
    bool gated;          /* GLU experts: two input matrices */
    int64_t shared;      /* experts that every token takes, with gate 1, 0 ... 1024 */
    float capacity;      /* an expert serves at most ceil(capacity n / E) of n tokens, in training;
                            0 serves none */
    float capacity_eval; /* the same at evaluation */
    int64_t group;       /* tokens among which capacity and balance are counted, 0 = the call's */
    bool normalized;     /* gates are divided by their sum over the k chosen */
    bool loss_free;      /* deepseek: sigmoid scores, balanced by a bias instead of a loss */
    bool noise;          /* noisy_topk: learned noise in training */
    float jitter;        /* switch: training inputs of the router times U(1 - jitter, 1 + jitter) */
    float second_threshold; /* gshard: in training the second expert stays with probability
                               min(1, its gate / this); 0 = always */
    float balance_loss, z_loss, importance_loss, load_loss;
    float bias_rate;   /* deepseek: step of the bias in peer_ffw_step() */
    float route_scale; /* deepseek: factor of the routed experts' gates */
};

/* Soft MoE: every slot is a weighted mean of the tokens of its group, every token's output one of
 * what the experts make of the slots. A token of NaN makes its group NaN. */
struct peer_soft_moe_config {
    int64_t experts; /* E, 1 ... 65536. Default 16 */
    int64_t slots;   /* of one expert in a group, 1 ... 65536. Default 16 */
    int64_t hidden;  /* F of one expert, 1 ... 2^20. Default 4 D */
    enum peer_act activation;
    bool gated;
    int64_t group; /* G tokens, >= 1; the call's last group may be shorter. Default 256 */
};

/* The slot's type, "soft_moe"; its config is struct peer_soft_moe_config, its parameters "slots"
 * [E slots, D], "slots.scale" [1, 1] and the experts' as below. Not causal. */
PEER_API extern const struct peer_ffw_type peer_ffw_soft_moe;

/* The other types; the config of each is struct peer_moe_config. Parameters: "router" [E, D];
 * "experts.in", "experts.gate" (gated) [E, F, D], "experts.out" [E, D, F]; and where the type has
 * them "router_noise" [E, D]; "shared.in", "shared.gate", "shared.out" of a dense FFW of width
 * shared * F; and buffers "router_bias" [E, 1] and, where training draws random numbers,
 * "noise.key" [2, 1], "noise.count" [2, 1]. */
PEER_API extern const struct peer_ffw_type peer_ffw_soft_gate;
PEER_API extern const struct peer_ffw_type peer_ffw_noisy_topk;
PEER_API extern const struct peer_ffw_type peer_ffw_gshard;
PEER_API extern const struct peer_ffw_type peer_ffw_switch;
PEER_API extern const struct peer_ffw_type peer_ffw_expert_choice;
PEER_API extern const struct peer_ffw_type peer_ffw_mixtral;
PEER_API extern const struct peer_ffw_type peer_ffw_deepseek;
PEER_API extern const struct peer_ffw_type peer_ffw_dropless;

#ifdef __cplusplus
}
#endif

#endif
