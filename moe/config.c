/* SPDX-License-Identifier: MIT */
#include "moe/config.h"

#include <math.h>
#include <stddef.h>

const char *const peer_moe_names[] = {"soft_gate",     "noisy_topk", "gshard",   "switch",
                                      "expert_choice", "mixtral",    "deepseek", "dropless"};

enum { EXPERTS_MAX = 65536, HIDDEN_MAX = 1 << 20, SHARED_MAX = 1024 };

#define AT(field) offsetof(struct peer_moe_config, field)

#define EXPERT_OPTIONS                                                                             \
    {"experts", PEER_OPTION_INT, AT(experts), 1, EXPERTS_MAX, NULL, "number of experts E"},        \
        {"hidden",                                                                                 \
         PEER_OPTION_INT,                                                                          \
         AT(hidden),                                                                               \
         1,                                                                                        \
         HIDDEN_MAX,                                                                               \
         NULL,                                                                                     \
         "hidden width F of one expert, values per token"},                                        \
        {"activation",                                                                             \
         PEER_OPTION_CHOICE,                                                                       \
         AT(activation),                                                                           \
         0,                                                                                        \
         0,                                                                                        \
         peer_act_names,                                                                           \
         "activation of the experts, or of their gates"},                                          \
    {                                                                                              \
        "gated", PEER_OPTION_BOOL, AT(gated), 0, 1, NULL,                                          \
            "experts with a gated linear unit; with silu SwiGLU"                                   \
    }

#define COEFFICIENT(name, meaning)                                                                 \
    {                                                                                              \
#name, PEER_OPTION_FLOAT, AT(name), 0, 1e6, NULL, meaning                                  \
    }

#define KEPT                                                                                       \
    {                                                                                              \
        "kept", PEER_OPTION_INT, AT(kept), 1, EXPERTS_MAX, NULL, "experts k of a token, at most E" \
    }

#define GROUP                                                                                      \
    {                                                                                              \
        "group", PEER_OPTION_INT, AT(group), 0, INT32_MAX, NULL,                                   \
            "tokens that are balanced, and share capacity, among themselves; 0 = all of the call"  \
    }

#define CAPACITY                                                                                   \
    {"capacity",                                                                                   \
     PEER_OPTION_FLOAT,                                                                            \
     AT(capacity),                                                                                 \
     0,                                                                                            \
     EXPERTS_MAX,                                                                                  \
     NULL,                                                                                         \
     "training: an expert serves at most capacity * tokens / E; E and more = no limit"},           \
    {                                                                                              \
        "capacity_eval", PEER_OPTION_FLOAT, AT(capacity_eval), 0, EXPERTS_MAX, NULL,               \
            "evaluation: an expert serves at most capacity_eval * tokens / E"                      \
    }

#define BALANCE COEFFICIENT(balance_loss, "coefficient of the load balancing loss")
#define Z COEFFICIENT(z_loss, "coefficient of the router's z-loss")

#define NORMALIZED                                                                                 \
    {                                                                                              \
        "normalized", PEER_OPTION_BOOL, AT(normalized), 0, 1, NULL,                                \
            "gates are divided by their sum over the k chosen"                                     \
    }

const struct peer_option peer_moe_soft_gate_options[] = {EXPERT_OPTIONS, {.name = NULL}};

const struct peer_option peer_moe_noisy_topk_options[] = {
    EXPERT_OPTIONS,
    KEPT,
    {"noise", PEER_OPTION_BOOL, AT(noise), 0, 1, NULL, "learned noise on the logits in training"},
    COEFFICIENT(importance_loss, "coefficient of the squared variation of summed gates"),
    COEFFICIENT(load_loss, "coefficient of the squared variation of expected loads, with noise"),
    {.name = NULL},
};

const struct peer_option peer_moe_gshard_options[] = {
    EXPERT_OPTIONS,
    CAPACITY,
    GROUP,
    {"second_threshold", PEER_OPTION_FLOAT, AT(second_threshold), 0, 1e6, NULL,
     "training: the second expert stays with probability min(1, gate / this); 0 = always"},
    BALANCE,
    Z,
    {.name = NULL},
};

const struct peer_option peer_moe_switch_options[] = {
    EXPERT_OPTIONS,
    CAPACITY,
    GROUP,
    {"jitter", PEER_OPTION_FLOAT, AT(jitter), 0, 1, NULL,
     "training inputs of the router times uniform values in 1 - jitter ... 1 + jitter"},
    BALANCE,
    Z,
    {.name = NULL},
};

const struct peer_option peer_moe_expert_choice_options[] = {
    EXPERT_OPTIONS,
    {"capacity", PEER_OPTION_FLOAT, AT(capacity), 0, EXPERTS_MAX, NULL,
     "an expert takes capacity * tokens / E, so mean experts per token"},
    GROUP,
    {.name = NULL},
};

const struct peer_option peer_moe_mixtral_options[] = {
    EXPERT_OPTIONS, KEPT, BALANCE, Z, {.name = NULL}};

const struct peer_option peer_moe_deepseek_options[] = {
    EXPERT_OPTIONS,
    KEPT,
    {"shared", PEER_OPTION_INT, AT(shared), 0, SHARED_MAX, NULL,
     "experts of the same size that every token takes"},
    NORMALIZED,
    {"route_scale", PEER_OPTION_FLOAT, AT(route_scale), 1e-3, 1e3, NULL,
     "factor of the routed experts' gates"},
    {"loss_free", PEER_OPTION_BOOL, AT(loss_free), 0, 1, NULL,
     "sigmoid scores, normalized gates and a bias that balances, as in DeepSeek-V3"},
    {"bias_rate", PEER_OPTION_FLOAT, AT(bias_rate), 0, 1, NULL,
     "loss_free: step of the bias after each backward pass"},
    GROUP,
    BALANCE,
    {.name = NULL},
};

const struct peer_option peer_moe_dropless_options[] = {EXPERT_OPTIONS, KEPT, NORMALIZED,
                                                        BALANCE,        Z,    {.name = NULL}};

/* By enum peer_moe_kind. */
static const struct peer_option *const options_of[] = {
    peer_moe_soft_gate_options, peer_moe_noisy_topk_options,    peer_moe_gshard_options,
    peer_moe_switch_options,    peer_moe_expert_choice_options, peer_moe_mixtral_options,
    peer_moe_deepseek_options,  peer_moe_dropless_options};

struct peer_moe_config peer_moe_config_default(enum peer_moe_kind kind, int64_t width)
{
    struct peer_moe_config c = {.kind = kind,
                                .experts = 16,
                                .kept = 2,
                                .hidden = width > HIDDEN_MAX / 4 ? HIDDEN_MAX : 4 * width,
                                .activation = PEER_ACT_GELU_TANH,
                                .capacity = 2,
                                .capacity_eval = 2,
                                .balance_loss = 0.01f,
                                .route_scale = 1};
    switch (kind) {
    case PEER_MOE_SOFT_GATE:
        c.experts = 4;
        break;
    case PEER_MOE_NOISY_TOPK:
        c.kept = 4;
        c.noise = true;
        c.importance_loss = c.load_loss = 0.01f;
        break;
    case PEER_MOE_GSHARD:
        c.second_threshold = 0.2f;
        break;
    case PEER_MOE_SWITCH:
        c.capacity = 1.25f;
        c.jitter = 0.01f;
        break;
    case PEER_MOE_MIXTRAL:
        c.experts = 8;
        c.activation = PEER_ACT_SILU;
        c.gated = true;
        break;
    case PEER_MOE_DEEPSEEK:
        c.experts = 64;
        c.kept = 6;
        c.shared = 2;
        c.hidden = width;
        c.activation = PEER_ACT_SILU;
        c.gated = true;
        c.balance_loss = 0.001f;
        c.bias_rate = 0.001f;
        break;
    case PEER_MOE_DROPLESS:
        c.kept = 1;
        c.balance_loss = 0.1f;
        break;
    case PEER_MOE_EXPERT_CHOICE:
    case PEER_MOE_KIND_COUNT:
        break;
    }
    return c;
}

static bool is_kept_free(const struct peer_moe_config *c)
{
    return c->kind == PEER_MOE_NOISY_TOPK || c->kind == PEER_MOE_MIXTRAL ||
           c->kind == PEER_MOE_DEEPSEEK || c->kind == PEER_MOE_DROPLESS;
}

enum peer_status peer_moe_check(struct peer_ctx *ctx, const struct peer_moe_config *c,
                                int64_t width)
{
    if ((int)c->kind < 0 || c->kind >= PEER_MOE_KIND_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "moe: kind = %d, expected 0 to %d", (int)c->kind,
                         PEER_MOE_KIND_COUNT - 1);
    const char *name = peer_moe_names[c->kind];
    if (width < 1 || width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: width = %lld, expected 1 to %d", name,
                         (long long)width, INT32_MAX);
    enum peer_status status = peer_options_check(ctx, name, c, options_of[c->kind]);
    if (!status && is_kept_free(c) && c->kept > c->experts)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: kept = %lld of experts = %lld, expected at most as many", name,
                           (long long)c->kept, (long long)c->experts);
    if (!status && c->kind == PEER_MOE_DEEPSEEK && c->shared * c->hidden > HIDDEN_MAX)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: shared = %lld times hidden = %lld, expected at most %d", name,
                           (long long)c->shared, (long long)c->hidden, HIDDEN_MAX);
    return status;
}

bool peer_moe_draws(const struct peer_moe_config *c)
{
    switch (c->kind) {
    case PEER_MOE_SWITCH:
        return c->jitter > 0;
    case PEER_MOE_GSHARD:
        return c->second_threshold > 0;
    case PEER_MOE_NOISY_TOPK:
        return c->noise;
    default:
        return false;
    }
}

bool peer_moe_limited(const struct peer_moe_config *c, enum peer_mode mode)
{
    float capacity = mode == PEER_MODE_TRAIN ? c->capacity : c->capacity_eval;
    return (c->kind == PEER_MOE_SWITCH || c->kind == PEER_MOE_GSHARD) &&
           capacity < (float)c->experts;
}

unsigned peer_moe_traits(const struct peer_moe_config *c)
{
    unsigned traits = 0;
    if (c->kind == PEER_MOE_EXPERT_CHOICE)
        return PEER_FFW_NOT_CAUSAL | PEER_FFW_MIXES_TOKENS_IN_TRAINING;
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
    switch (c->kind) {
    case PEER_MOE_SOFT_GATE:
    case PEER_MOE_EXPERT_CHOICE:
        return c->experts;
    case PEER_MOE_GSHARD:
        return c->experts > 1 ? 2 : 1;
    case PEER_MOE_SWITCH:
        return 1;
    default:
        return c->kept;
    }
}

int64_t peer_moe_entries(const struct peer_moe_config *c, int64_t T)
{
    if (c->kind != PEER_MOE_EXPERT_CHOICE)
        return T * peer_moe_listed(c);
    int64_t step = c->group && c->group < T ? c->group : T, rest = T % step;
    return (T / step * peer_moe_room(c->capacity, step, c->experts) +
            peer_moe_room(c->capacity, rest, c->experts)) *
           c->experts;
}

struct peer_moe_rule peer_moe_rule_of(const struct peer_moe_config *c)
{
    struct peer_moe_rule rule = {.score = PEER_MOE_SOFTMAX, .scale = 1};
    if (c->kind == PEER_MOE_NOISY_TOPK || c->kind == PEER_MOE_MIXTRAL)
        rule.score = PEER_MOE_KEPT;
    if (c->kind == PEER_MOE_GSHARD) {
        rule.normalized = true;
        rule.epsilon = 1e-9f;
    }
    if (c->kind == PEER_MOE_DEEPSEEK || c->kind == PEER_MOE_DROPLESS)
        rule.normalized = c->normalized;
    if (c->kind == PEER_MOE_DEEPSEEK) {
        rule.scale = c->route_scale;
        rule.score = c->loss_free ? PEER_MOE_SIGMOID : PEER_MOE_SOFTMAX;
        rule.normalized = c->normalized || c->loss_free;
    }
    return rule;
}

struct peer_dense_config peer_moe_shared(const struct peer_moe_config *c)
{
    int64_t shared = c->kind == PEER_MOE_DEEPSEEK ? c->shared : 0;
    return (struct peer_dense_config){
        .hidden = shared * c->hidden, .activation = c->activation, .gated = c->gated};
}

static double active_experts(const struct peer_moe_config *c)
{
    double listed = (double)peer_moe_listed(c);
    bool limited = c->kind == PEER_MOE_EXPERT_CHOICE || peer_moe_limited(c, PEER_MODE_TRAIN);
    return limited ? fmin(listed, c->capacity) : listed;
}

/* Active weights move for the forward and the backward pass, and their gradients are read and
 * written: 4 values; the step reads every gradient and reads and writes weight and moments: 7. */
void peer_moe_cost(struct peer_cost *ret, const struct peer_moe_config *c, int64_t D)
{
    int64_t matrices = c->gated ? 3 : 2, expert = matrices * c->hidden * D;
    int64_t shared = matrices * peer_moe_shared(c).hidden * D;
    bool noise = c->kind == PEER_MOE_NOISY_TOPK && peer_moe_draws(c);
    int64_t router = (noise ? 2 : 1) * c->experts * D;
    double active = active_experts(c), outputs = active * (double)D;
    *ret = (struct peer_cost){.params_total = router + c->experts * expert + shared,
                              .params_router = router,
                              .params_experts = c->experts * expert + shared,
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
