/* SPDX-License-Identifier: MIT */
/* Internal. What follows from the config of a mixture before there is a layer. */
#ifndef PEER_MOE_CONFIG_H
#define PEER_MOE_CONFIG_H

#include "moe/moe.h"
#include "moe/router.h"
#include "nn/layers/dense.h"

/* "soft_gate", "noisy_topk", ..., by enum peer_moe_kind. */
extern const char *const peer_moe_names[];

/* Options of each kind: the fields that it reads. */
extern const struct peer_option peer_moe_soft_gate_options[], peer_moe_noisy_topk_options[],
    peer_moe_gshard_options[], peer_moe_switch_options[], peer_moe_expert_choice_options[],
    peer_moe_mixtral_options[], peer_moe_deepseek_options[], peer_moe_dropless_options[];

struct peer_moe_config peer_moe_config_default(enum peer_moe_kind kind, int64_t width);
enum peer_status peer_moe_check(struct peer_ctx *ctx, const struct peer_moe_config *config,
                                int64_t width);
unsigned peer_moe_traits(const struct peer_moe_config *config);

/* With active experts per token k, or E (soft_gate), or `capacity` of them (expert_choice, and
 * where capacity < k), without rounding up to whole tokens. */
void peer_moe_cost(struct peer_cost *ret, const struct peer_moe_config *config, int64_t width);

/* R: experts that can be listed for one token. */
int64_t peer_moe_listed(const struct peer_moe_config *config);

/* Most (token, expert) pairs of a call of T tokens. */
int64_t peer_moe_entries(const struct peer_moe_config *config, int64_t T);

struct peer_moe_rule peer_moe_rule_of(const struct peer_moe_config *config);

/* Whether a token can find an expert full, of the call's tokens in training or at evaluation. */
bool peer_moe_limited(const struct peer_moe_config *config, enum peer_mode mode);

/* Whether training passes draw random numbers. */
bool peer_moe_draws(const struct peer_moe_config *config);

/* The shared experts as one dense FFW. */
struct peer_dense_config peer_moe_shared(const struct peer_moe_config *config);

#endif
