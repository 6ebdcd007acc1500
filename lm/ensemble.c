/* SPDX-License-Identifier: MIT */
#include "lm/ensemble.h"

#include <math.h>

#include "lm/spread.h"
#include "lm/windows.h"
#include "nn/pool.h"

struct ensemble {
    struct lm_model *const *list;
    int64_t models, room;     /* M; positions of a pass */
    float *losses;            /* [M, room] */
    double *token, *sums;     /* [M] losses of a token; of all */
    struct lm_spread *spread; /* [M + 1], the last of the ensemble */
};

double lm_ensemble_loss(const double *losses, int64_t models)
{
    double least = losses[0], sum = 0;
    for (int64_t m = 1; m < models; m++)
        if (losses[m] < least)
            least = losses[m];
    if (isinf(least))
        return least;
    for (int64_t m = 0; m < models; m++)
        sum += exp(least - losses[m]);
    return least + log((double)models / sum);
}

static double score(void *user, int64_t *scored, const int32_t *inputs, const int32_t *targets,
                    int64_t first, int64_t B, int64_t S)
{
    struct ensemble *e = user;
    double loss = 0;
    for (int64_t m = 0; m < e->models; m++)
        e->sums[m] += lm_model_forward(e->list[m], scored, e->losses + m * e->room, inputs, targets,
                                       B, S, PEER_MODE_EVAL);
    for (int64_t i = 0; i < B * S; i++) {
        if (targets[i] < 0)
            continue;
        for (int64_t m = 0; m < e->models; m++) {
            e->token[m] = e->losses[m * e->room + i];
            lm_spread_add(&e->spread[m], first + i / S, e->token[m], 1);
        }
        double together = lm_ensemble_loss(e->token, e->models);
        lm_spread_add(&e->spread[e->models], first + i / S, together, 1);
        loss += together;
    }
    return loss;
}

static enum peer_status check_vocabularies(struct peer_ctx *ctx, const char *who,
                                           struct lm_model *const *list, int64_t models)
{
    int64_t first = lm_model_config(list[0])->vocab;
    for (int64_t m = 1; m < models; m++) {
        int64_t vocab = lm_model_config(list[m])->vocab;
        if (vocab != first)
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "%s: vocabulary of model 0 = %lld, of model %lld = %lld, expected one",
                             who, (long long)first, (long long)m, (long long)vocab);
    }
    return PEER_OK;
}

static int64_t shortest_context(struct lm_model *const *list, int64_t models)
{
    int64_t context = lm_model_config(list[0])->context;
    for (int64_t m = 1; m < models; m++)
        if (lm_model_config(list[m])->context < context)
            context = lm_model_config(list[m])->context;
    return context;
}

enum peer_status lm_ensemble_evaluate(struct lm_eval_result *ret, struct lm_eval_result *each,
                                      struct peer_ctx *ctx, struct lm_model *const *list,
                                      int64_t models, const struct lm_corpus *corpus,
                                      const struct lm_vocabulary *vocabulary, int64_t tokens,
                                      int64_t length, int64_t sequences, bool (*stop)(void *user),
                                      void *user)
{
    static const char who[] = "lm_ensemble_evaluate";
    struct lm_windows windows = {
        .who = who,
        .corpus = corpus,
        .vocabulary = vocabulary,
        .tokens = tokens,
        .length = length,
        .sequences = sequences,
        .stop = stop,
        .user = user,
    };
    int64_t context = shortest_context(list, models);
    enum peer_status status = check_vocabularies(ctx, who, list, models);
    if (!status)
        status = lm_windows_check(ctx, &windows, context);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct ensemble e = {.list = list, .models = models, .room = sequences * length};
    e.losses = peer_pool_floats(&pool, who, models, e.room);
    e.token = peer_pool_alloc(&pool, who, sizeof *e.token, models, 1, 1);
    e.sums = peer_pool_alloc(&pool, who, sizeof *e.sums, models, 1, 1);
    e.spread = peer_pool_alloc(&pool, who, sizeof *e.spread, models + 1, 1, 1);
    for (int64_t m = 0; !pool.failed && m <= models; m++)
        e.spread[m] = (struct lm_spread){.windows = lm_windows_count(&windows)};
    status = pool.failed ? PEER_ERR_MEMORY : lm_windows_run(ret, ctx, &windows, context, score, &e);
    for (int64_t m = 0; !status && m < models; m++) {
        each[m] = lm_windows_result(e.sums[m], ret->tokens, ret->bytes);
        each[m].nats_error = lm_spread_error(&e.spread[m]);
    }
    if (!status)
        ret->nats_error = lm_spread_error(&e.spread[models]);
    peer_pool_free(&pool);
    return status;
}
