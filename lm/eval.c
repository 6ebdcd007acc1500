/* SPDX-License-Identifier: MIT */
#include "lm/eval.h"

#include "lm/spread.h"
#include "lm/windows.h"
#include "nn/pool.h"

/* One model, and where its routing is counted. */
struct scorer {
    struct lm_model *model;
    struct lm_usage *const *usage;
    float *losses; /* [positions of a pass] */
    struct lm_spread spread;
};

static double score(void *user, int64_t *scored, const int32_t *inputs, const int32_t *targets,
                    int64_t first, int64_t B, int64_t S)
{
    struct scorer *s = user;
    double loss =
        lm_model_forward(s->model, scored, s->losses, inputs, targets, B, S, PEER_MODE_EVAL);
    for (int64_t i = 0; i < B * S; i++)
        if (targets[i] >= 0)
            lm_spread_add(&s->spread, first + i / S, (double)s->losses[i], 1);
    for (int64_t block = 0; s->usage && block < lm_model_config(s->model)->blocks; block++) {
        struct peer_routing routing;
        if (s->usage[block] && lm_model_routing(s->model, block, &routing))
            lm_usage_add(s->usage[block], &routing, inputs, B * S);
    }
    return loss;
}

enum peer_status lm_usage_of_model(struct lm_usage **usage, struct peer_ctx *ctx,
                                   const struct lm_model *model)
{
    enum peer_status status = PEER_OK;
    for (int64_t block = 0; block < lm_model_config(model)->blocks && !status; block++) {
        struct peer_routing routing;
        if (lm_model_routing(model, block, &routing))
            status = lm_usage_create(&usage[block], ctx, &routing);
    }
    return status;
}

enum peer_status lm_evaluate(struct lm_eval_result *ret, struct peer_ctx *ctx,
                             struct lm_model *model, const struct lm_corpus *corpus,
                             const struct lm_vocabulary *vocabulary, int64_t tokens, int64_t length,
                             int64_t sequences, struct lm_usage *const *usage,
                             bool (*stop)(void *user), void *user)
{
    struct lm_windows windows = {
        .who = "lm_evaluate",
        .corpus = corpus,
        .vocabulary = vocabulary,
        .tokens = tokens,
        .length = length,
        .sequences = sequences,
        .stop = stop,
        .user = user,
    };
    int64_t context = lm_model_config(model)->context;
    enum peer_status status = lm_windows_check(ctx, &windows, context);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct scorer scorer = {.model = model,
                            .usage = usage,
                            .losses = peer_pool_floats(&pool, "lm_evaluate", sequences, length),
                            .spread = {.windows = lm_windows_count(&windows)}};
    status =
        pool.failed ? PEER_ERR_MEMORY : lm_windows_run(ret, ctx, &windows, context, score, &scorer);
    if (!status)
        ret->nats_error = lm_spread_error(&scorer.spread);
    peer_pool_free(&pool);
    return status;
}
