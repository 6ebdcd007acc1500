/* SPDX-License-Identifier: MIT */
#include "lm/eval.h"

#include "lm/windows.h"

/* One model, and where its routing is counted. */
struct scorer {
    struct lm_model *model;
    struct lm_usage *const *usage;
};

static double score(void *user, int64_t *scored, const int32_t *inputs, const int32_t *targets,
                    int64_t B, int64_t S)
{
    const struct scorer *s = user;
    double loss = lm_model_forward(s->model, scored, NULL, inputs, targets, B, S, PEER_MODE_EVAL);
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
    struct scorer scorer = {.model = model, .usage = usage};
    return lm_windows_run(ret, ctx, &windows, lm_model_config(model)->context, score, &scorer);
}
