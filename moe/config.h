/* SPDX-License-Identifier: MIT */
/* Internal. What follows from the config of a mixture before there is a layer. */
#ifndef PEER_MOE_CONFIG_H
#define PEER_MOE_CONFIG_H

#include "moe/moe.h"
#include "moe/router.h"
#include "nn/layers/dense.h"

enum { PEER_MOE_EXPERTS_MAX = 65536, PEER_MOE_HIDDEN_MAX = 1 << 20, PEER_MOE_SHARED_MAX = 1024 };

/* As the slot's, of a struct peer_moe_config. The cost has active experts per token k, or E
 * (soft_gate), or `capacity` of them (expert_choice, and where capacity < k), without rounding up
 * to whole tokens. */
enum peer_status peer_moe_check(struct peer_ctx *ctx, const void *config, int64_t width);
enum peer_status peer_moe_check_shape(struct peer_ctx *ctx, const void *config,
                                      const struct peer_ffw_shape *shape);
unsigned peer_moe_traits(const void *config);
void peer_moe_cost(struct peer_cost *ret, const void *config, int64_t width);

/* Whether a type of the slot is a mixture with a rule, whose config is a struct peer_moe_config. */
bool peer_moe_is_type(const struct peer_ffw_type *type);

/* The config with all that its type has no option for left out: no capacity, no loss, no noise.
 * What follows asks for it, or does it itself. */
struct peer_moe_config peer_moe_read(const struct peer_moe_config *config);

/* Whether the config's type has the option. */
bool peer_moe_has(const struct peer_moe_config *config, const char *option);

/* R: experts that can be listed for one token. */
int64_t peer_moe_listed(const struct peer_moe_config *config);

/* Most (token, expert) pairs of a call of T tokens. */
int64_t peer_moe_entries(const struct peer_moe_config *config, int64_t T);

struct peer_moe_gating peer_moe_gating_of(const struct peer_moe_config *config);

/* Whether a token can find an expert full, of the call's tokens in training or at evaluation. */
bool peer_moe_limited(const struct peer_moe_config *config, enum peer_mode mode);

/* Whether training passes draw random numbers. */
bool peer_moe_draws(const struct peer_moe_config *config);

/* The shared experts as one dense FFW. */
struct peer_dense_config peer_moe_shared(const struct peer_moe_config *config);

#endif
