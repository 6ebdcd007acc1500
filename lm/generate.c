/* SPDX-License-Identifier: MIT */
#include "lm/generate.h"

#include <math.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/random.h"

struct lm_generate_config lm_generate_config_default(void)
{
    return (struct lm_generate_config){.temperature = 0.8f, .top = 50, .seed = 1};
}

static enum peer_status check(struct peer_ctx *ctx, const struct lm_generate_config *config,
                              int64_t vocab, const int32_t *ids, int64_t used)
{
    if (config->count < 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_generate: count = %lld, expected >= 0",
                         (long long)config->count);
    if (!(config->temperature >= 0) || isinf(config->temperature))
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_generate: temperature = %g, expected >= 0",
                         (double)config->temperature);
    if (config->top < 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_generate: top = %lld, expected >= 0",
                         (long long)config->top);
    if (used < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_generate: used = %lld, expected >= 1",
                         (long long)used);
    for (int64_t i = 0; i < used; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "lm_generate: ids[%lld] = %d, expected 0 to %lld", (long long)i,
                             (int)ids[i], (long long)vocab - 1);
    return PEER_OK;
}

/* The index of a draw from unnormalised weights, `uniform` in [0, 1). */
static int64_t draw(const float *weights, int64_t n, double uniform)
{
    double sum = 0, below = 0;
    for (int64_t i = 0; i < n; i++)
        sum += weights[i];
    for (int64_t i = 0; i < n; i++) {
        below += weights[i];
        if (uniform * sum < below)
            return i;
    }
    return 0;
}

/* Draw `index` of the seed's stream from the most likely ids. scores and order have room for all
 * V. */
static int32_t choose(const struct peer_kernels *kernels, const struct lm_generate_config *config,
                      const float *logits, int64_t V, float *scores, int32_t *order, uint64_t index)
{
    kernels->topk(scores, order, logits, V, 1);
    if (config->temperature == 0)
        return order[0];
    float largest = scores[0];
    int64_t top = config->top ? peer_min(config->top, V) : V;
    if (top < V)
        kernels->topk(scores, order, logits, V, top);
    for (int64_t i = 0; i < top; i++) {
        order[i] = top < V ? order[i] : (int32_t)i;
        scores[i] = ((top < V ? scores[i] : logits[i]) - largest) / config->temperature;
    }
    kernels->softmax(scores, 1, top);
    uint64_t stream = peer_stream("generate");
    double uniform = peer_random_bits(config->seed, stream, index) * 0x1p-32;
    return order[draw(scores, top, uniform)];
}

enum peer_status lm_generate(struct peer_ctx *ctx, struct lm_model *model, int32_t *ids,
                             int64_t used, const struct lm_generate_config *config,
                             void (*emit)(void *user, int32_t id), void *user)
{
    const struct lm_config *c = lm_model_config(model);
    enum peer_status status = check(ctx, config, c->vocab, ids, used);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    int64_t V = c->vocab, window = peer_min(c->context, lm_model_tokens(model));
    float *logits = peer_pool_floats(&pool, "lm_generate: logits", V, 1);
    float *scores = peer_pool_floats(&pool, "lm_generate: scores", V, 1);
    int32_t *order = peer_pool_ids(&pool, "lm_generate: ids", V, 1);
    int32_t *targets = peer_pool_ids(&pool, "lm_generate: targets", window, 1);
    for (int64_t i = 0; i < window && targets; i++)
        targets[i] = -1;
    for (int64_t i = 0; i < config->count && !pool.failed; i++) {
        int64_t S = peer_min(used, window), scored;
        lm_model_forward(model, &scored, NULL, ids + used - S, targets, 1, S, PEER_MODE_EVAL);
        lm_model_logits(model, logits, 0);
        ids[used] = choose(peer_kernels(ctx), config, logits, V, scores, order, (uint64_t)i);
        if (emit)
            emit(user, ids[used]);
        used++;
    }
    status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    peer_pool_free(&pool);
    return status;
}
