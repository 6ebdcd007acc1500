/* SPDX-License-Identifier: MIT */
#include "lm/config.h"

#include "lm/options.h"

#define FIELD(name) offsetof(struct lm_config, name)

const struct peer_option lm_freeze_options[] = {
    {"freeze", PEER_OPTION_CHOICE, FIELD(freeze), 0, 0, lm_freeze_names,
     "what stands still: the mixture's router, its experts, both, or all the rest"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};

const struct peer_option lm_tables_options[] = {
    {"tables", PEER_OPTION_CHOICE, FIELD(tables), 0, 0, lm_place_names,
     "where tables lie: in memory, or in mapped files beside the checkpoint"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};

const struct peer_option lm_config_options[] = {
    {"vocab", PEER_OPTION_INT, FIELD(vocab), 1, LM_MAX_VOCAB, NULL, "tokens in the vocabulary (V)"},
    {"width", PEER_OPTION_INT, FIELD(width), 2, 16384, NULL,
     "model width (D), a multiple of 2 * heads"},
    {"blocks", PEER_OPTION_INT, FIELD(blocks), 1, LM_MAX_BLOCKS, NULL, "number of blocks (L)"},
    {"heads", PEER_OPTION_INT, FIELD(heads), 1, 1024, NULL,
     "attention heads; by default of width 32, 64 above width 256, or the nearest that divide the "
     "width"},
    {"context", PEER_OPTION_INT, FIELD(context), 1, 65536, NULL, "most tokens of a sequence"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};

int64_t lm_config_default_heads(int64_t width)
{
    int64_t wanted = width <= 256 ? 32 : 64, heads = width / wanted;
    while (heads > 1 && width % (2 * heads))
        heads--;
    if (heads <= 1)
        heads = 1;
    if (width / heads <= 2 * wanted || width % 2)
        return heads;
    for (heads = width / wanted + 1; heads <= 2 * width / wanted; heads++)
        if (width % (2 * heads) == 0)
            return heads;
    return 1;
}

struct lm_config lm_config_default(int64_t vocab, int64_t width, int64_t blocks)
{
    struct lm_config config = {.vocab = vocab,
                               .width = width,
                               .blocks = blocks,
                               .heads = lm_config_default_heads(width),
                               .context = 256,
                               .passes = 1};
    peer_ffw_dense.config_default(&config.dense, width);
    if (blocks >= 1 && blocks <= LM_MAX_BLOCKS)
        config.sparse_at[(blocks - 1) / 2] = true;
    return config;
}

const struct peer_ffw_type *lm_config_ffw(const struct lm_config *config, int64_t block,
                                          const void **ffw_config)
{
    bool sparse = config->ffw && config->sparse_at[block];
    *ffw_config = sparse ? config->ffw_config : &config->dense;
    return sparse ? config->ffw : &peer_ffw_dense;
}

static enum peer_status check_sparse(struct peer_ctx *ctx, const struct lm_config *c)
{
    int64_t chosen = 0;
    for (int64_t i = 0; i < LM_MAX_BLOCKS; i++) {
        chosen += c->sparse_at[i];
        if (c->sparse_at[i] && i >= c->blocks)
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "lm_config: sparse_at[%lld] is set, but blocks = %lld", (long long)i,
                             (long long)c->blocks);
    }
    if (!c->ffw)
        return PEER_OK;
    if (!c->ffw_config)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_config: ffw = %s, but ffw_config = NULL",
                         c->ffw->name);
    if (chosen == 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_config: ffw = %s, but sparse_at is set for none of %lld blocks",
                         c->ffw->name, (long long)c->blocks);
    return c->ffw->check(ctx, c->ffw_config, c->width);
}

enum peer_status lm_config_check(struct peer_ctx *ctx, const struct lm_config *c)
{
    enum peer_status status = peer_options_check(ctx, "lm_config", c, lm_config_options);
    if (status)
        return status;
    if (c->width % (2 * c->heads))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_config: width = %lld, heads = %lld, expected a width that is a "
                         "multiple of 2 * heads",
                         (long long)c->width, (long long)c->heads);
    if (c->passes < 1 || c->passes > 65536)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_config: passes = %lld, expected an integer from 1 to 65536",
                         (long long)c->passes);
    status = peer_ffw_dense.check(ctx, &c->dense, c->width);
    if (!status)
        status = check_sparse(ctx, c);
    if (!status)
        status = lm_freeze_check(ctx, c);
    return status ? status : lm_tables_check(ctx, c);
}

/* Of the embedding, norms and attention. */
static void backbone_cost(struct peer_cost *ret, const struct lm_config *c, int64_t length)
{
    double D = (double)c->width, V = (double)c->vocab, L = (double)c->blocks;
    double attention = L * (8 * D * D + 2 * D * (double)(length + 1));
    int64_t params = c->vocab * c->width + c->width + c->blocks * (4 * c->width + 2) * c->width;
    *ret = (struct peer_cost){.params_total = params, .params_active = params};
    ret->forward[PEER_PART_ATTENTION] = attention;
    ret->backward[PEER_PART_ATTENTION] = 2 * attention;
    ret->forward[PEER_PART_VOCAB] = 2 * D * V;
    ret->backward[PEER_PART_VOCAB] = 4 * D * V;
    ret->bytes_forward = sizeof(float) * (double)params;
    ret->bytes_train = PEER_STEP_PASSES_DENSE * sizeof(float) * (double)params;
}

void lm_config_cost(struct peer_cost *ret, const struct lm_config *config, int64_t length)
{
    backbone_cost(ret, config, length);
    for (int64_t i = 0; i < config->blocks; i++) {
        const void *ffw_config;
        const struct peer_ffw_type *type = lm_config_ffw(config, i, &ffw_config);
        struct peer_cost ffw = {0};
        type->cost(&ffw, ffw_config, config->width);
        peer_cost_add(ret, &ffw);
    }
}

/* Whether the rows of tables are trained, and with how many values and segments. */
static bool trained_rows(struct peer_cost *cost, const struct lm_config *config)
{
    lm_config_cost(cost, config, config->context);
    return cost->table_rows && !(lm_freeze_roles(config->freeze) & PEER_FROZEN(PEER_ROLE_EXPERTS));
}

int64_t lm_config_row_memory(const struct lm_config *config, const struct peer_optim_config *optim)
{
    struct peer_cost cost;
    if (!trained_rows(&cost, config))
        return 0;
    return peer_optim_row_bytes(optim, cost.table_values / cost.table_rows,
                                (int)(cost.table_segments / cost.table_rows));
}

size_t lm_config_optim_memory(const struct lm_config *config, const struct peer_optim_config *optim)
{
    struct peer_cost cost;
    int64_t tables = trained_rows(&cost, config) ? cost.table_values : 0;
    int64_t dense = cost.params_total - lm_config_frozen(config) - tables;
    size_t value = optim->dense == PEER_OPTIM_ADAMW ? 2 * sizeof(float) : 0;
    return peer_size_add(
        peer_size_mul((size_t)dense, value),
        peer_size_mul((size_t)cost.table_rows, (size_t)lm_config_row_memory(config, optim)));
}
