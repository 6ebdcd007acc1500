/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>

#include "lm/config.h"
#include "lm/model_ref.h"
#include "moe/config.h"
#include "moe/moe_ref.h"
#include "moe/soft_moe_ref.h"
#include "nn/layers/dense_ref.h"
#include "peer/config.h"
#include "peer/layer_ref.h"
#include "pkm/config.h"
#include "pkm/layer_ref.h"

/* What the layer of one block is called with. */
struct call {
    const struct REF(lm_pass) * pass;
    const char *prefix;
    int32_t *ids; /* of its routing */
    int64_t T, D;
    const real *x;
    const uint8_t *mask;
    bool train;
};

static const real *value(const struct call *call, const char *name)
{
    return REF(lm_value)(call->pass, call->prefix, name);
}

static void dense(real *y, const struct call *call, const struct peer_dense_config *config)
{
    int64_t TF = call->T * config->hidden;
    struct REF(peer_dense) layer = {.D = call->D,
                                    .F = config->hidden,
                                    .activation = config->activation,
                                    .w_in = value(call, "in"),
                                    .w_gate = config->gated ? value(call, "gate") : NULL,
                                    .w_out = value(call, "out"),
                                    .in = REF(lm_zeros)(TF),
                                    .gate = REF(lm_zeros)(TF),
                                    .hidden = REF(lm_zeros)(TF)};
    REF(peer_dense_forward)(&layer, y, call->x, call->mask, call->T);
    free(layer.in);
    free(layer.gate);
    free(layer.hidden);
}

static struct REF(pkm_retrieval_weights) retrieval_weights(const struct call *call)
{
    return (struct REF(pkm_retrieval_weights)){.query = value(call, "query"),
                                               .gain = value(call, "query_norm.gain"),
                                               .bias = value(call, "query_norm.bias"),
                                               .mean = value(call, "query_norm.mean"),
                                               .var = value(call, "query_norm.var"),
                                               .keys = value(call, "keys")};
}

static struct REF(pkm_retrieval_cache)
    retrieval_cache(const struct call *call, const struct pkm_retrieval_config *config)
{
    int64_t queries = call->T * config->heads * config->query_width;
    int64_t kept = call->T * config->heads * config->kept;
    int64_t statistics = config->heads * (call->T + config->query_width);
    return (struct REF(pkm_retrieval_cache)){.q_raw = REF(lm_zeros)(queries),
                                             .q = REF(lm_zeros)(queries),
                                             .mean = REF(lm_zeros)(statistics),
                                             .inv_dev = REF(lm_zeros)(statistics),
                                             .ids = call->ids,
                                             .scores = REF(lm_zeros)(kept),
                                             .gates = REF(lm_zeros)(kept),
                                             .fixed = call->pass->fixed,
                                             .sub = REF(lm_zeros)(2 * config->experts)};
}

static void retrieval_free(const struct REF(pkm_retrieval_cache) * cache)
{
    free(cache->q_raw);
    free(cache->q);
    free(cache->mean);
    free(cache->inv_dev);
    free(cache->scores);
    free(cache->gates);
    free(cache->sub);
}

static void pkm(real *y, const struct call *call, const struct pkm_config *config)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(config, call->D);
    struct REF(pkm_layer_weights) weights = {.retrieval = retrieval_weights(call),
                                             .values = value(call, "values"),
                                             .w1 = value(call, "gate"),
                                             .w2 = value(call, "output")};
    struct REF(pkm_layer_cache) cache = {.retrieval = retrieval_cache(call, &retrieval),
                                         .memory = REF(lm_zeros)(call->T * call->D),
                                         .z = REF(lm_zeros)(call->T * call->D),
                                         .scratch = REF(lm_zeros)(call->D)};
    REF(pkm_layer_forward)
    (y, &cache, &weights, call->x, call->mask, call->T, call->D, config, call->train);
    retrieval_free(&cache.retrieval);
    free(cache.memory);
    free(cache.z);
    free(cache.scratch);
}

static void peer(real *y, const struct call *call, const struct peer_layer_config *config)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(config, call->D);
    int64_t kept = call->T * config->heads * config->kept;
    struct REF(peer_layer_weights)
        weights = {.retrieval = retrieval_weights(call), .experts = value(call, "experts")};
    struct REF(peer_layer_cache) cache = {.retrieval = retrieval_cache(call, &retrieval),
                                          .pre = REF(lm_zeros)(kept),
                                          .linear = REF(lm_zeros)(kept)};
    REF(peer_layer_forward)
    (y, &cache, &weights, call->x, call->mask, call->T, call->D, config, call->train);
    retrieval_free(&cache.retrieval);
    free(cache.pre);
    free(cache.linear);
}

/* Without what is drawn and without auxiliary losses. */
static void mixture(real *y, const struct call *call, const struct peer_moe_config *config)
{
    struct REF(peer_moe) layer = {.config = config,
                                  .D = call->D,
                                  .R = peer_moe_listed(config),
                                  .router = value(call, "router"),
                                  .in = value(call, "experts.in"),
                                  .gate = value(call, "experts.gate"),
                                  .out = value(call, "experts.out"),
                                  .shared_in = value(call, "shared.in"),
                                  .shared_gate = value(call, "shared.gate"),
                                  .shared_out = value(call, "shared.out"),
                                  .router_noise = value(call, "router_noise"),
                                  .choice = call->ids,
                                  .ids = call->ids,
                                  .mask = call->mask};
    assert(call->pass->fixed && !peer_moe_limited(config, call->pass->mode));
    REF(peer_moe_forward)(y, &layer, call->x, call->T, false);
}

static void soft_mixture(real *y, const struct call *call,
                         const struct peer_soft_moe_config *config)
{
    struct REF(peer_soft_moe) layer = {.config = config,
                                       .D = call->D,
                                       .phi = value(call, "slots"),
                                       .scale = value(call, "slots.scale"),
                                       .in = value(call, "experts.in"),
                                       .gate = value(call, "experts.gate"),
                                       .out = value(call, "experts.out"),
                                       .mask = call->mask};
    REF(peer_soft_moe_forward)(y, &layer, call->x, call->T);
}

void REF(lm_ffw_forward)(real *y, const struct REF(lm_pass) * pass, int64_t block,
                         const char *prefix, const real *x, const uint8_t *mask)
{
    const void *config;
    const struct peer_ffw_type *type = lm_config_ffw(pass->config, block, &config);
    struct call call = {.pass = pass,
                        .prefix = prefix,
                        .ids = pass->ids[block],
                        .T = pass->B * pass->S,
                        .D = pass->config->width,
                        .x = x,
                        .mask = mask,
                        .train = pass->mode == PEER_MODE_TRAIN};
    if (type == &peer_ffw_dense)
        dense(y, &call, config);
    else if (type == &peer_ffw_pkm)
        pkm(y, &call, config);
    else if (type == &peer_ffw_peer)
        peer(y, &call, config);
    else if (type == &peer_ffw_soft_moe)
        soft_mixture(y, &call, config);
    else if (peer_moe_is_type(type))
        mixture(y, &call, config);
    else
        assert(!"a type without a reference");
}
