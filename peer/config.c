/* SPDX-License-Identifier: MIT */
#include "peer/config.h"

#include <math.h>
#include <stddef.h>

#include "nn/parallel.h"
#include "peer/experts_private.h"

const struct peer_option peer_layer_options[] = {
    {"experts", PEER_OPTION_INT, offsetof(struct peer_layer_config, experts), 1, INT32_MAX, NULL,
     "number of experts N, a square"},
    {"heads", PEER_OPTION_INT, offsetof(struct peer_layer_config, heads), 1, PKM_HEADS_MAX, NULL,
     "query heads H, each with its own query network"},
    {"kept", PEER_OPTION_INT, offsetof(struct peer_layer_config, kept), 1, INT32_MAX, NULL,
     "experts k kept per head, at most N"},
    {"query_width", PEER_OPTION_INT, offsetof(struct peer_layer_config, query_width), 2,
     PKM_QUERY_WIDTH_MAX, NULL, "width K of one head's query, even; each half has K/2"},
    {"gate", PEER_OPTION_CHOICE, offsetof(struct peer_layer_config, gate), 0, 0, peer_gate_names,
     "from the kept scores to the weights of their experts"},
    {"query_norm", PEER_OPTION_CHOICE, offsetof(struct peer_layer_config, query_norm), 0, 0,
     peer_norm_names, "normalisation of the queries"},
    {"keys_per_head", PEER_OPTION_BOOL, offsetof(struct peer_layer_config, keys_per_head), 0, 1,
     NULL, "sub-keys of its own for each head, instead of shared ones"},
    {"expert", PEER_OPTION_CHOICE, offsetof(struct peer_layer_config, expert), 0, 0,
     peer_expert_names, "form of an expert: act(u.x) v, or act(g.x) (u.x) v"},
    {"activation", PEER_OPTION_CHOICE, offsetof(struct peer_layer_config, activation), 0, 0,
     peer_act_names, "activation of the experts"},
    {"tables_per_head", PEER_OPTION_BOOL, offsetof(struct peer_layer_config, tables_per_head), 0, 1,
     NULL, "N experts of its own for each head, instead of one pool"},
    {"table", PEER_OPTION_CHOICE, offsetof(struct peer_layer_config, table), 0, 0, peer_table_names,
     "type of the experts' values; int8 only to run forward"},
    {"table_lr_scale", PEER_OPTION_FLOAT, offsetof(struct peer_layer_config, table_lr_scale), 1e-6,
     1e6, NULL, "learning rate of the experts relative to the rest"},
    {.name = NULL},
};

struct peer_layer_config peer_layer_config_default(int64_t width)
{
    int64_t even = width < PKM_QUERY_WIDTH_MAX ? width + width % 2 : PKM_QUERY_WIDTH_MAX;
    return (struct peer_layer_config){.experts = 128 * 128,
                                      .heads = 8,
                                      .kept = 16,
                                      .query_width = even,
                                      .gate = PEER_GATE_SOFTMAX,
                                      .query_norm = PEER_NORM_BATCH,
                                      .expert = PEER_EXPERT_SINGLE,
                                      .activation = PEER_ACT_GELU_TANH,
                                      .table_lr_scale = 1};
}

struct pkm_retrieval_config peer_layer_retrieval(const struct peer_layer_config *config, int64_t D)
{
    return (struct pkm_retrieval_config){.width = D,
                                         .experts = config->experts,
                                         .heads = config->heads,
                                         .kept = config->kept,
                                         .query_width = config->query_width,
                                         .gate = config->gate,
                                         .query_norm = config->query_norm,
                                         .keys_per_head = config->keys_per_head};
}

struct pkm_retrieval_config peer_layer_retrieval_for(const struct peer_layer_config *config,
                                                     const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(config, shape->width);
    retrieval.frozen = !peer_ffw_trains(shape, PEER_ROLE_ROUTER);
    return retrieval;
}

int64_t peer_layer_rows(const struct peer_layer_config *config)
{
    return config->tables_per_head ? config->heads * config->experts : config->experts;
}

struct peer_experts_config peer_layer_experts(const struct peer_layer_config *config)
{
    return (struct peer_experts_config){.experts = peer_layer_rows(config),
                                        .slots = config->heads * config->kept,
                                        .expert = config->expert,
                                        .activation = config->activation,
                                        .table = config->table,
                                        .table_lr_scale = config->table_lr_scale};
}

const char *peer_layer_table(struct peer_table_file_config *ret, const void *config, int64_t width)
{
    const struct peer_layer_config *c = config;
    *ret = (struct peer_table_file_config){.type = c->table,
                                           .rows = peer_layer_rows(c),
                                           .width = peer_experts_vectors(c->expert) * width,
                                           .deviation = 1 / sqrtf((float)width)};
    return "experts";
}

enum peer_status peer_layer_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    const struct peer_layer_config *c = config;
    enum peer_status status = peer_options_check(ctx, "peer", c, peer_layer_options);
    if (status)
        return status;
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(c, width);
    status = pkm_retrieval_check(ctx, "peer", &retrieval);
    if (status)
        return status;
    if (peer_layer_rows(c) > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer: tables_per_head with heads = %lld and experts = %lld makes %lld "
                         "rows, expected at most %d",
                         (long long)c->heads, (long long)c->experts, (long long)peer_layer_rows(c),
                         INT32_MAX);
    return PEER_OK;
}

void peer_layer_default(void *config, int64_t width)
{
    *(struct peer_layer_config *)config = peer_layer_config_default(width);
}

unsigned peer_layer_traits(const void *config)
{
    const struct peer_layer_config *c = config;
    return c->query_norm == PEER_NORM_BATCH ? PEER_FFW_MIXES_TOKENS_IN_TRAINING : 0;
}

/* Each vector of an expert's row makes one product forward and two backward: for the gradient of
 * the token or of the gate, and for its own. */
void peer_layer_cost(struct peer_cost *ret, const void *config, int64_t D)
{
    const struct peer_layer_config *c = config;
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(c, D);
    pkm_retrieval_cost(ret, &retrieval);
    int64_t vectors = peer_experts_vectors(c->expert), row = vectors * D, used = c->heads * c->kept;
    double values = (double)used * (double)row;
    int64_t row_bytes = peer_table_row_bytes(c->table, row, (int)vectors);
    ret->params_total += peer_layer_rows(c) * row;
    ret->params_experts = peer_layer_rows(c) * row;
    ret->table_rows += peer_layer_rows(c);
    ret->table_values += peer_layer_rows(c) * row;
    ret->table_segments += peer_layer_rows(c) * vectors;
    ret->table_bytes += peer_layer_rows(c) * row_bytes;
    ret->params_active += peer_min(peer_layer_rows(c), used) * row;
    ret->forward[PEER_PART_EXPERTS] += 2 * values;
    ret->backward[PEER_PART_EXPERTS] += 4 * values;
    peer_cost_add_rows(ret, (double)used, (double)row_bytes, values * sizeof(float));
}
