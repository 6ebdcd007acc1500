/* SPDX-License-Identifier: MIT */
#include "moe/config.h"

#include <math.h>
#include <string.h>

#include "moe/rule.h"

struct peer_moe_config *peer_moe_defaults(void *config, const struct peer_moe_rule *rule,
                                          int64_t width)
{
    struct peer_moe_config *c = config;
    int64_t most = PEER_MOE_HIDDEN_MAX;
    *c = (struct peer_moe_config){.rule = rule,
                                  .experts = 16,
                                  .kept = 2,
                                  .hidden = width > most / 4 ? most : 4 * width,
                                  .activation = PEER_ACT_GELU_TANH,
                                  .capacity = 2,
                                  .capacity_eval = 2,
                                  .balance_loss = 0.01f,
                                  .route_scale = 1};
    return c;
}

bool peer_moe_is_type(const struct peer_ffw_type *type)
{
    return type->build == peer_moe_build;
}

static size_t size_of(const struct peer_option *option)
{
    static const size_t sizes[] = {[PEER_OPTION_INT] = sizeof(int64_t),
                                   [PEER_OPTION_FLOAT] = sizeof(float),
                                   [PEER_OPTION_BOOL] = sizeof(bool),
                                   [PEER_OPTION_CHOICE] = sizeof(enum peer_act)};
    return sizes[option->kind];
}

struct peer_moe_config peer_moe_read(const struct peer_moe_config *config)
{
    struct peer_moe_config ret = {
        .rule = config->rule, .capacity = INFINITY, .capacity_eval = INFINITY, .route_scale = 1};
    for (const struct peer_option *o = config->rule->type->options; o->name; o++)
        memcpy((char *)&ret + o->offset, (const char *)config + o->offset, size_of(o));
    return ret;
}

bool peer_moe_has(const struct peer_moe_config *config, const char *option)
{
    return peer_option_find(config->rule->type->options, option) != NULL;
}

static enum peer_status check_fields(struct peer_ctx *ctx, const struct peer_moe_config *given)
{
    const struct peer_moe_config c = peer_moe_read(given);
    const char *name = c.rule->type->name;
    if (c.kept > c.experts)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: kept = %lld of experts = %lld, expected at most as many", name,
                         (long long)c.kept, (long long)c.experts);
    if (c.shared * c.hidden > PEER_MOE_HIDDEN_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: shared = %lld times hidden = %lld, expected at most %d", name,
                         (long long)c.shared, (long long)c.hidden, PEER_MOE_HIDDEN_MAX);
    return PEER_OK;
}

enum peer_status peer_moe_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    const struct peer_moe_config *c = config;
    if (!c->rule)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "moe: a config without its rule, expected one that the type's "
                         "config_default filled");
    const struct peer_ffw_type *type = c->rule->type;
    if (width < 1 || width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: width = %lld, expected 1 to %d", type->name,
                         (long long)width, INT32_MAX);
    enum peer_status status = peer_options_check(ctx, type->name, c, type->options);
    return status ? status : check_fields(ctx, c);
}

enum peer_status peer_moe_check_shape(struct peer_ctx *ctx, const void *config,
                                      const struct peer_ffw_shape *shape)
{
    const struct peer_moe_config *c = config;
    int64_t listed = peer_moe_listed(c), most = INT32_MAX / listed;
    if (shape->tokens < 1 || shape->tokens > most)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld with up to %lld experts each, expected 1 to %lld",
                         c->rule->type->name, (long long)shape->tokens, (long long)listed,
                         (long long)most);
    return PEER_OK;
}

bool peer_moe_draws(const struct peer_moe_config *config)
{
    const struct peer_moe_config c = peer_moe_read(config);
    return c.jitter > 0 || c.second_threshold > 0 || c.noise;
}

bool peer_moe_limited(const struct peer_moe_config *config, enum peer_mode mode)
{
    const struct peer_moe_config c = peer_moe_read(config);
    float capacity = mode == PEER_MODE_TRAIN ? c.capacity : c.capacity_eval;
    return !c.rule->experts_choose && capacity < (float)c.experts;
}

unsigned peer_moe_traits(const void *config)
{
    const struct peer_moe_config *c = config;
    unsigned traits = c->rule->traits;
    if (peer_moe_limited(c, PEER_MODE_TRAIN))
        traits |= PEER_FFW_MIXES_TOKENS_IN_TRAINING;
    if (peer_moe_limited(c, PEER_MODE_EVAL))
        traits |= PEER_FFW_SHARES_CAPACITY;
    /* A later token's first choice comes before an earlier one's second. */
    if (peer_moe_limited(c, PEER_MODE_EVAL) && peer_moe_listed(c) > 1)
        traits |= PEER_FFW_NOT_CAUSAL;
    return traits;
}

int64_t peer_moe_listed(const struct peer_moe_config *c)
{
    int64_t kept = c->rule->kept ? c->rule->kept : c->kept;
    return kept == PEER_MOE_ALL || kept > c->experts ? c->experts : kept;
}

int64_t peer_moe_entries(const struct peer_moe_config *c, int64_t T)
{
    if (!c->rule->experts_choose)
        return T * peer_moe_listed(c);
    int64_t step = c->group && c->group < T ? c->group : T, rest = T % step;
    return (T / step * peer_moe_room(c->capacity, step, c->experts) +
            peer_moe_room(c->capacity, rest, c->experts)) *
           c->experts;
}

struct peer_moe_gating peer_moe_gating_of(const struct peer_moe_config *config)
{
    const struct peer_moe_config c = peer_moe_read(config);
    return (struct peer_moe_gating){.score = c.loss_free ? PEER_MOE_SIGMOID : c.rule->score,
                                    .normalized = c.rule->normalized || c.normalized || c.loss_free,
                                    .epsilon = c.rule->epsilon,
                                    .scale = c.route_scale};
}

struct peer_dense_config peer_moe_shared(const struct peer_moe_config *config)
{
    const struct peer_moe_config c = peer_moe_read(config);
    return (struct peer_dense_config){
        .hidden = c.shared * c.hidden, .activation = c.activation, .gated = c.gated};
}

/* Active weights move for the forward and the backward pass, and their gradients are read and
 * written: 4 values; the step reads every gradient and reads and writes weight and moments: 7. */
void peer_moe_cost(struct peer_cost *ret, const void *config, int64_t D)
{
    const struct peer_moe_config c = peer_moe_read(config);
    int64_t matrices = c.gated ? 3 : 2, expert = matrices * c.hidden * D;
    int64_t shared = matrices * c.shared * c.hidden * D;
    int64_t router = (c.noise ? 2 : 1) * c.experts * D;
    double active = fmin((double)peer_moe_listed(&c), c.capacity), outputs = active * (double)D;
    *ret = (struct peer_cost){.params_total = router + c.experts * expert + shared,
                              .params_router = router,
                              .params_experts = c.experts * expert + shared,
                              .params_active =
                                  router + (int64_t)ceil(active * (double)expert) + shared};
    ret->forward[PEER_PART_QUERY] = 2.0 * (double)router;
    ret->backward[PEER_PART_QUERY] = 4.0 * (double)router;
    ret->forward[PEER_PART_EXPERTS] = 2 * (active * (double)expert + outputs);
    ret->backward[PEER_PART_EXPERTS] = 4 * (active * (double)expert + outputs);
    ret->forward[PEER_PART_DENSE] = 2.0 * (double)shared;
    ret->backward[PEER_PART_DENSE] = 4.0 * (double)shared;
    ret->bytes_forward = (double)ret->params_active * sizeof(float);
    ret->bytes_train =
        (4 * (double)ret->params_active + 7 * (double)ret->params_total) * sizeof(float);
}
