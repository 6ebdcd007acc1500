/* SPDX-License-Identifier: MIT */
#include "pkm/config.h"

#include <math.h>
#include <stddef.h>

#include "nn/parallel.h"

const struct peer_option pkm_layer_options[] = {
    {"memories", PEER_OPTION_INT, offsetof(struct pkm_config, memories), 1, INT32_MAX, NULL,
     "number of memories N, a square"},
    {"heads", PEER_OPTION_INT, offsetof(struct pkm_config, heads), 1, PKM_HEADS_MAX, NULL,
     "query heads H, each with its own query network"},
    {"kept", PEER_OPTION_INT, offsetof(struct pkm_config, kept), 1, INT32_MAX, NULL,
     "memories k kept per head, at most N"},
    {"query_width", PEER_OPTION_INT, offsetof(struct pkm_config, query_width), 2,
     PKM_QUERY_WIDTH_MAX, NULL, "width K of one head's query, even; each half has K/2"},
    {"gate", PEER_OPTION_CHOICE, offsetof(struct pkm_config, gate), 0, 0, peer_gate_names,
     "from the kept scores to the weights of their memories"},
    {"query_norm", PEER_OPTION_CHOICE, offsetof(struct pkm_config, query_norm), 0, 0,
     peer_norm_names, "normalisation of the queries"},
    {"keys_per_head", PEER_OPTION_BOOL, offsetof(struct pkm_config, keys_per_head), 0, 1, NULL,
     "sub-keys of its own for each head, instead of shared ones"},
    {"gated", PEER_OPTION_BOOL, offsetof(struct pkm_config, gated), 0, 1, NULL,
     "multiply the memory's output by silu(x W1^T), then by W2^T"},
    {"table", PEER_OPTION_CHOICE, offsetof(struct pkm_config, table), 0, 0, peer_table_names,
     "type of the memories' values; int8 only to run forward"},
    {"table_lr_scale", PEER_OPTION_FLOAT, offsetof(struct pkm_config, table_lr_scale), 1e-6, 1e6,
     NULL, "learning rate of the values relative to the rest"},
    {.name = NULL},
};

struct pkm_config pkm_config_default(int64_t width)
{
    int64_t even = width < PKM_QUERY_WIDTH_MAX ? width + width % 2 : PKM_QUERY_WIDTH_MAX;
    return (struct pkm_config){.memories = 128 * 128,
                               .heads = 8,
                               .kept = 32,
                               .query_width = even,
                               .gate = PEER_GATE_SOFTMAX,
                               .query_norm = PEER_NORM_BATCH,
                               .keys_per_head = true,
                               .table_lr_scale = 1};
}

struct pkm_retrieval_config pkm_layer_retrieval(const struct pkm_config *config, int64_t D)
{
    return (struct pkm_retrieval_config){.width = D,
                                         .experts = config->memories,
                                         .heads = config->heads,
                                         .kept = config->kept,
                                         .query_width = config->query_width,
                                         .gate = config->gate,
                                         .query_norm = config->query_norm,
                                         .keys_per_head = config->keys_per_head};
}

struct pkm_retrieval_config pkm_layer_retrieval_for(const struct pkm_config *config,
                                                    const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(config, shape->width);
    retrieval.frozen = !peer_ffw_trains(shape, PEER_ROLE_ROUTER);
    return retrieval;
}

struct pkm_values_config pkm_layer_values(const struct pkm_config *config)
{
    return (struct pkm_values_config){.memories = config->memories,
                                      .slots = config->heads * config->kept,
                                      .table = config->table,
                                      .table_lr_scale = config->table_lr_scale};
}

enum peer_status pkm_layer_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    enum peer_status status = peer_options_check(ctx, "pkm", config, pkm_layer_options);
    if (status)
        return status;
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(config, width);
    return pkm_retrieval_check(ctx, "pkm", &retrieval);
}

const char *pkm_layer_table(struct peer_table_file_config *ret, const void *config, int64_t width)
{
    const struct pkm_config *c = config;
    *ret = (struct peer_table_file_config){.type = c->table,
                                           .rows = c->memories,
                                           .width = width,
                                           .deviation = 1 / sqrtf((float)width)};
    return "values";
}

void pkm_layer_default(void *config, int64_t width)
{
    *(struct pkm_config *)config = pkm_config_default(width);
}

unsigned pkm_layer_traits(const void *config)
{
    const struct pkm_config *c = config;
    return c->query_norm == PEER_NORM_BATCH ? PEER_FFW_MIXES_TOKENS_IN_TRAINING : 0;
}

/* A value's row makes one product forward and two backward: for the gradient of its gate and for
 * its own. The gated form's two matrices are dense. */
void pkm_layer_cost(struct peer_cost *ret, const void *config, int64_t D)
{
    const struct pkm_config *c = config;
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(c, D);
    pkm_retrieval_cost(ret, &retrieval);
    int64_t used = c->heads * c->kept, matrices = c->gated ? 2 * D * D : 0;
    int64_t row_bytes = peer_table_row_bytes(c->table, D, 1);
    double values = (double)used * (double)D;
    ret->params_experts = c->memories * D + matrices;
    ret->params_total += ret->params_experts;
    ret->table_rows += c->memories;
    ret->table_values += c->memories * D;
    ret->table_segments += c->memories;
    ret->table_bytes += c->memories * row_bytes;
    ret->params_active += peer_min(c->memories, used) * D + matrices;
    ret->forward[PEER_PART_EXPERTS] += 2 * values;
    ret->backward[PEER_PART_EXPERTS] += 4 * values;
    ret->forward[PEER_PART_OUTPUT] += 2.0 * (double)matrices;
    ret->backward[PEER_PART_OUTPUT] += 4.0 * (double)matrices;
    double dense = (double)matrices * sizeof(float);
    ret->bytes_forward += dense;
    ret->bytes_train += PEER_STEP_PASSES_DENSE * dense;
    peer_cost_add_rows(ret, (double)used, (double)row_bytes, values * sizeof(float));
}
