/* SPDX-License-Identifier: MIT */
#include "lm/model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lm/block.h"
#include "lm/embedding.h"
#include "lm/loss.h"
#include "lm/tables.h"
#include "nn/layers/norm.h"
#include "nn/parallel.h"
#include "nn/params/finite.h"
#include "nn/products/linear.h"

struct lm_model {
    struct peer_pool pool;
    struct lm_config config;
    struct peer_params params;
    bool trainable;
    int64_t tokens; /* most in one pass */

    struct lm_weight embed, norm;
    struct lm_block *blocks; /* [L] */
    struct lm_trace shared;  /* of all blocks, where not trainable */
    struct lm_work work;

    float *x, *inv_rms, *normed; /* the last block's output [T, D], [T], [T, D] */
    float *logits, *losses;      /* of a chunk; [T] */
    float *dnormed, *dhead;      /* [T, D]; the head's part of the embedding's gradient [V, D], NULL
                                    where that is not trained */
    int32_t *ids, *targets;      /* [T] */
    int32_t *first, *order;      /* tokens by id: [V + 1], [T] */
    uint8_t *mask;               /* [T] */
    int64_t *starts;             /* [T]: first tokens of sequences */
    void *ffw_config;
    struct lm_batch batch; /* the last */
};

/* Whether the model's own parameters and those of dense FFWs have gradients. */
static bool trains_rest(const struct lm_model *m)
{
    return m->trainable && !(lm_freeze_roles(m->config.freeze) & PEER_FROZEN(PEER_ROLE_REST));
}

/* The first block with something to train: no gradient is asked of what lies before it. */
static int64_t first_trained(const struct lm_model *m)
{
    int64_t block = 0;
    while (!trains_rest(m) && block < m->config.blocks - 1 && !m->config.sparse_at[block])
        block++;
    return block;
}

static void alloc_gradients(struct lm_model *m, struct peer_pool *pool)
{
    int64_t D = m->config.width, V = m->config.vocab, T = m->tokens;
    m->work.dx = peer_pool_floats(pool, "gradient of x", T, D);
    m->work.dbranch = peer_pool_floats(pool, "gradient of a branch", T, D);
    m->work.dqkv = peer_pool_floats(pool, "gradient of queries, keys, values", T, 3 * D);
    m->work.norm_partial = peer_pool_floats(pool, "norm", peer_norm_partials(T), D);
    m->dnormed = peer_pool_floats(pool, "gradient of the output", T, D);
    if (!trains_rest(m))
        return;
    m->dhead = peer_pool_floats(pool, "gradient of the logits' weights", V, D);
    m->first = peer_pool_ids(pool, "ids", V + 1, 1);
    m->order = peer_pool_ids(pool, "order of tokens", T, 1);
}

/* Everything but the blocks and FFW layers. */
static void alloc_model(struct lm_model *m, struct peer_pool *pool, int threads)
{
    const struct lm_config *c = &m->config;
    int64_t D = c->width, V = c->vocab, T = m->tokens, most = peer_min(c->context, T);
    int64_t scratch = lm_attention_scratch(most, D / c->heads);
    m->embed = lm_weight_alloc(pool, "embed", V, D, trains_rest(m));
    m->norm = lm_weight_alloc(pool, "norm.gain", D, 1, trains_rest(m));
    m->blocks = peer_pool_alloc(pool, "blocks", sizeof *m->blocks, c->blocks, 1, 1);
    if (c->ffw)
        m->ffw_config = peer_pool_alloc(pool, "ffw config", c->ffw->config_size, 1, 1, 1);
    m->work.width = D;
    m->work.attention = (struct lm_attention){
        .width = D,
        .heads = c->heads,
        .rotation = peer_pool_floats(pool, "rotations", c->context, D / c->heads),
        .scratch = peer_pool_floats(pool, "attention", threads, scratch),
        .scratch_size = scratch};
    m->work.y = peer_pool_floats(pool, "branch", T, D);
    m->x = peer_pool_floats(pool, "output", T, D);
    m->inv_rms = peer_pool_floats(pool, "norm", T, 1);
    m->normed = peer_pool_floats(pool, "normed output", T, D);
    m->logits = peer_pool_floats(pool, "logits", lm_loss_scratch(V, T), 1);
    m->losses = peer_pool_floats(pool, "losses", T, 1);
    m->ids = peer_pool_ids(pool, "ids", T, 1);
    m->targets = peer_pool_ids(pool, "targets", T, 1);
    m->mask = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
    m->starts = peer_pool_alloc(pool, "starts of sequences", sizeof *m->starts, T, 1, 1);
    if (m->trainable)
        alloc_gradients(m, pool);
    else
        lm_trace_alloc(&m->shared, pool, D, T);
}

static enum peer_status check_tokens(struct peer_ctx *ctx, int64_t tokens)
{
    if (tokens < 1 || tokens > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_model_create: tokens = %lld, expected 1 to %d",
                         (long long)tokens, INT32_MAX);
    return PEER_OK;
}

/* What FFW layers are created for, mapped tables apart. Without training they keep no gradients. */
static struct peer_ffw_shape ffw_shape(const struct lm_config *c, int64_t tokens, bool trainable)
{
    return (struct peer_ffw_shape){.width = c->width,
                                   .tokens = tokens,
                                   .tokens_per_step = trainable ? tokens * c->passes : 1,
                                   .forward_only = !trainable,
                                   .frozen = lm_freeze_roles(c->freeze)};
}

enum peer_status lm_config_check_tokens(struct peer_ctx *ctx, const struct lm_config *config,
                                        int64_t tokens)
{
    struct peer_ffw_shape shape = ffw_shape(config, tokens, true);
    enum peer_status status = check_tokens(ctx, tokens);
    for (int64_t i = 0; i < config->blocks && !status; i++) {
        const void *ffw_config;
        const struct peer_ffw_type *type = lm_config_ffw(config, i, &ffw_config);
        status = type->check_shape(ctx, ffw_config, &shape);
    }
    return status;
}

/* Bytes of tables that are not in memory. */
static size_t mapped_bytes(const struct lm_config *config)
{
    struct peer_cost cost;
    lm_config_cost(&cost, config, config->context);
    return config->tables == LM_PLACE_MAPPED ? (size_t)cost.table_bytes : 0;
}

size_t lm_config_memory(const struct lm_config *config, int64_t tokens)
{
    struct lm_model model = {.config = *config, .trainable = true, .tokens = tokens};
    struct peer_pool measure = {.ctx = NULL};
    struct peer_ffw_shape shape = ffw_shape(config, tokens, true);
    size_t bytes = 0;
    peer_pool_alloc(&measure, "lm_model", sizeof model, 1, 1, 1);
    alloc_model(&model, &measure, 1);
    for (int64_t i = 0; i < config->blocks; i++) {
        struct lm_block block;
        const void *ffw_config;
        const struct peer_ffw_type *type = lm_config_ffw(config, i, &ffw_config);
        lm_block_alloc(&block, &measure, config->width, trains_rest(&model));
        lm_trace_alloc(&block.trace, &measure, config->width, tokens);
        bytes = peer_size_add(bytes, peer_ffw_memory(type, ffw_config, &shape));
    }
    bytes = peer_size_add(bytes, measure.bytes);
    return bytes == SIZE_MAX ? bytes : bytes - mapped_bytes(config);
}

static enum peer_status create_blocks(struct lm_model *m)
{
    struct peer_ctx *ctx = m->pool.ctx;
    const struct lm_config *c = &m->config;
    struct peer_ffw_shape shape = ffw_shape(c, m->tokens, m->trainable);
    for (int64_t i = 0; i < c->blocks; i++) {
        struct lm_block *block = &m->blocks[i];
        const void *ffw_config;
        const struct peer_ffw_type *type = lm_config_ffw(c, i, &ffw_config);
        shape.table = lm_tables_file(c->table_files, i);
        lm_block_alloc(block, &m->pool, c->width, trains_rest(m));
        if (m->trainable)
            lm_trace_alloc(&block->trace, &m->pool, c->width, m->tokens);
        else
            block->trace = m->shared;
        if (m->pool.failed)
            return PEER_ERR_MEMORY;
        enum peer_status status = peer_ffw_create(&block->ffw, ctx, type, ffw_config, &shape);
        if (status)
            return status;
    }
    return PEER_OK;
}

static enum peer_status list_params(struct lm_model *m)
{
    const struct lm_config *c = &m->config;
    const struct peer_init one = {PEER_INIT_CONSTANT, 1};
    /* Logits of deviation 1; much smaller, and the blocks' first outputs drown the tokens. */
    const struct peer_init embed = {PEER_INIT_NORMAL, 1 / sqrtf((float)c->width)};
    enum peer_status status =
        lm_weight_params(&m->embed, &m->params, "", "embed", c->vocab, c->width, embed);
    if (!status)
        status = lm_weight_params(&m->norm, &m->params, "", "norm.gain", c->width, 0, one);
    for (int64_t i = 0; !status && i < c->blocks; i++) {
        char prefix[PEER_PARAM_NAME];
        snprintf(prefix, sizeof prefix, "blocks.%lld.", (long long)i);
        status = lm_block_params(&m->blocks[i], &m->params, prefix, c->width, c->blocks);
    }
    return status;
}

static enum peer_status build(struct lm_model *m)
{
    alloc_model(m, &m->pool, peer_ctx_threads(m->pool.ctx));
    if (m->pool.failed)
        return PEER_ERR_MEMORY;
    if (m->config.ffw) {
        memcpy(m->ffw_config, m->config.ffw_config, m->config.ffw->config_size);
        m->config.ffw_config = m->ffw_config;
    }
    enum peer_status status = create_blocks(m);
    return status ? status : list_params(m);
}

enum peer_status lm_model_create(struct lm_model **ret, struct peer_ctx *ctx,
                                 const struct lm_config *config, int64_t tokens, uint64_t seed,
                                 bool trainable)
{
    enum peer_status status = lm_config_check(ctx, config);
    if (status)
        return status;
    status = check_tokens(ctx, tokens);
    if (status)
        return status;
    if ((config->tables == LM_PLACE_MAPPED) != (config->table_files != NULL))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_model_create: tables = %s, but table_files are %s",
                         lm_place_names[config->tables], config->table_files ? "open" : "not open");
    struct peer_pool pool = {.ctx = ctx};
    struct lm_model *m = peer_pool_alloc(&pool, "lm_model_create", sizeof *m, 1, 1, 1);
    if (!m)
        return PEER_ERR_MEMORY;
    m->pool = pool;
    m->config = *config;
    m->params = peer_params_empty(ctx);
    m->trainable = trainable;
    m->tokens = tokens;
    status = build(m);
    if (status) {
        lm_model_destroy(&m);
        return status;
    }
    lm_attention_rotations(m->work.attention.rotation, config->context,
                           config->width / config->heads);
    peer_params_init(&m->params, seed);
    *ret = m;
    return PEER_OK;
}

void lm_model_destroy(struct lm_model **model)
{
    if (!model || !*model)
        return;
    struct lm_model *m = *model;
    if (m->blocks)
        for (int64_t i = 0; i < m->config.blocks; i++)
            peer_ffw_destroy(&m->blocks[i].ffw);
    peer_params_free(&m->params);
    struct peer_pool pool = m->pool;
    peer_pool_free(&pool);
    *model = NULL;
}

const struct lm_config *lm_model_config(const struct lm_model *model)
{
    return &model->config;
}

int64_t lm_model_tokens(const struct lm_model *model)
{
    return model->tokens;
}

const struct peer_params *lm_model_params(const struct lm_model *model)
{
    return &model->params;
}

/* Copies the batch, so that the caller's arrays are free again. */
static void take_batch(struct lm_model *m, const int32_t *inputs, const int32_t *targets,
                       const struct lm_batch *batch)
{
    int64_t T = batch->B * batch->S, present = 0;
    for (int64_t t = 0; t < T; t++) {
        assert(inputs[t] >= -1 && inputs[t] < m->config.vocab);
        assert(targets[t] >= -1 && targets[t] < m->config.vocab);
        m->ids[t] = inputs[t];
        m->targets[t] = inputs[t] >= 0 ? targets[t] : -1;
        m->mask[t] = inputs[t] >= 0;
        present += m->mask[t];
    }
    for (int64_t b = 0; b < batch->B; b++)
        m->starts[b] = b * batch->S;
    m->batch = *batch;
    m->batch.ids = m->ids;
    m->batch.starts = m->starts;
    m->batch.mask = present < T ? m->mask : NULL;
}

static struct lm_loss loss_of(const struct lm_model *m)
{
    bool train = m->batch.mode == PEER_MODE_TRAIN;
    return (struct lm_loss){.vocab = m->config.vocab,
                            .width = m->config.width,
                            .embed = m->embed.w,
                            .logits = m->logits,
                            .dx = train ? m->dnormed : NULL,
                            .dembed = train ? m->dhead : NULL};
}

double lm_model_forward(struct lm_model *m, int64_t *scored, float *losses, const int32_t *inputs,
                        const int32_t *targets, int64_t B, int64_t S, enum peer_mode mode)
{
    int64_t T = B * S, L = m->config.blocks, D = m->config.width;
    struct peer_ctx *ctx = m->pool.ctx;
    assert(B >= 1 && S >= 1 && S <= m->config.context && T <= m->tokens);
    assert(mode == PEER_MODE_EVAL || m->trainable);
    take_batch(m, inputs, targets, &(struct lm_batch){.B = B, .S = S, .mode = mode});
    lm_embedding_forward(ctx, m->blocks[0].trace.x, m->embed.w, m->ids, T, D);
    for (int64_t i = 0; i < L; i++) {
        float *next = i + 1 < L ? m->blocks[i + 1].trace.x : m->x;
        lm_block_forward(ctx, &m->blocks[i], next, &m->work, &m->batch);
    }
    peer_rmsnorm_forward(ctx, m->normed, m->inv_rms, m->x, m->norm.w, T, D);
    struct lm_loss loss = loss_of(m);
    double sum = lm_loss_forward(ctx, scored, m->losses, &loss, m->normed, m->targets, T);
    if (losses)
        memcpy(losses, m->losses, (size_t)T * sizeof *losses);
    return sum;
}

void lm_model_backward(struct lm_model *m, float scale)
{
    int64_t T = m->batch.B * m->batch.S, D = m->config.width, V = m->config.vocab;
    struct peer_ctx *ctx = m->pool.ctx;
    assert(m->batch.mode == PEER_MODE_TRAIN);
    for (int64_t i = 0; i < T * D; i++)
        m->dnormed[i] *= scale;
    m->batch.scale = scale;
    memset(m->work.dx, 0, (size_t)(T * D) * sizeof(float));
    peer_rmsnorm_backward(ctx, m->work.dx, m->norm.dw, m->work.norm_partial, m->dnormed, m->x,
                          m->norm.w, m->inv_rms, T, D);
    for (int64_t i = m->config.blocks - 1; i >= first_trained(m); i--)
        lm_block_backward(ctx, &m->blocks[i], &m->work, &m->batch);
    m->batch.mode = PEER_MODE_EVAL; /* a second call would find other values */
    if (!m->embed.dw)
        return;
    lm_embedding_group(m->first, m->order, m->ids, T, V);
    lm_embedding_backward(ctx, m->embed.dw, m->dhead, scale, m->work.dx, m->first, m->order, V, D);
}

bool lm_model_nonfinite(const struct lm_model *m, char *text, size_t size)
{
    int64_t T = m->batch.B * m->batch.S, D = m->config.width, L = m->config.blocks, at = -1;
    const struct peer_ctx *ctx = m->pool.ctx;
    const float *x = m->blocks[0].trace.x;
    char name[PEER_PARAM_NAME] = "embed";
    for (int64_t i = 0; i <= L; i++) {
        if ((at = peer_first_nonfinite(ctx, x, T * D)) >= 0)
            break;
        const char *part = i < L ? lm_block_nonfinite(ctx, &m->blocks[i].trace, T, D, &at) : NULL;
        if (i < L)
            snprintf(name, sizeof name, "blocks.%lld.%s", (long long)i, part ? part : "ffw");
        if (part)
            break;
        x = i + 1 < L ? m->blocks[i + 1].trace.x : m->x;
    }
    if (at < 0 && (at = peer_first_nonfinite(ctx, m->normed, T * D)) >= 0)
        snprintf(name, sizeof name, "norm");
    if (at >= 0)
        snprintf(text, size, "the output of %s, token %lld", name, (long long)(at / D));
    return at >= 0;
}

void lm_model_logits_at(struct lm_model *m, float *logits, int64_t b, int64_t s)
{
    assert(b >= 0 && b < m->batch.B && s >= 0 && s < m->batch.S);
    struct lm_loss loss = loss_of(m);
    lm_loss_logits(m->pool.ctx, logits, &loss, m->normed + (b * m->batch.S + s) * m->config.width);
}

void lm_model_logits(struct lm_model *m, float *logits, int64_t b)
{
    int64_t S = m->batch.S, s = S - 1;
    assert(b >= 0 && b < m->batch.B);
    while (s > 0 && m->ids[b * S + s] < 0)
        s--;
    lm_model_logits_at(m, logits, b, s);
}

int lm_model_losses(const struct lm_model *m, int64_t block, struct peer_ffw_loss *ret)
{
    assert(block >= 0 && block < m->config.blocks);
    return peer_ffw_losses(m->blocks[block].ffw, ret);
}

void lm_model_step(struct lm_model *m)
{
    for (int64_t i = 0; i < m->config.blocks; i++)
        peer_ffw_step(m->blocks[i].ffw);
}

int64_t lm_model_skipped(const struct lm_model *m, int64_t block)
{
    assert(block >= 0 && block < m->config.blocks);
    return peer_ffw_skipped(m->blocks[block].ffw);
}

double lm_model_auxiliary(const struct lm_model *m)
{
    double sum = 0;
    for (int64_t i = 0; i < m->config.blocks; i++) {
        struct peer_ffw_loss losses[PEER_FFW_LOSSES];
        int count = lm_model_losses(m, i, losses);
        for (int j = 0; j < count; j++)
            sum += losses[j].value;
    }
    return sum;
}

bool lm_model_routing(const struct lm_model *m, int64_t block, struct peer_routing *ret)
{
    assert(block >= 0 && block < m->config.blocks);
    return peer_ffw_routing(m->blocks[block].ffw, ret);
}
