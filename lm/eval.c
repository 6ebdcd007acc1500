/* SPDX-License-Identifier: MIT */
#include "lm/eval.h"

#include <math.h>

#include "nn/parallel.h"
#include "nn/pool.h"

/* An evaluation in progress. */
struct evaluation {
    struct lm_model *model;
    const struct lm_corpus *corpus;
    const struct lm_vocabulary *vocabulary;
    int64_t total;  /* targets to score */
    int64_t length; /* S */
    int32_t *inputs, *targets;
    struct lm_usage *const *usage;
    double loss;
    int64_t scored, bytes;
};

static void add_usage(const struct evaluation *e, int64_t T)
{
    for (int64_t block = 0; e->usage && block < lm_model_config(e->model)->blocks; block++) {
        struct peer_routing routing;
        if (e->usage[block] && lm_model_routing(e->model, block, &routing))
            lm_usage_add(e->usage[block], &routing, e->inputs, T);
    }
}

/* Scores windows first ... first+B-1. */
static void score_windows(struct evaluation *e, int64_t first, int64_t B)
{
    int64_t S = e->length, scored = 0;
    lm_corpus_window(e->corpus, e->inputs, e->targets, B, S, first);
    for (int64_t i = 0; i < B * S; i++) {
        if (first * S + i >= e->total)
            e->inputs[i] = e->targets[i] = -1;
        int64_t bytes = 0;
        if (e->vocabulary && e->targets[i] >= 0)
            lm_vocabulary_text(e->vocabulary, e->targets[i], &bytes);
        e->bytes += bytes;
    }
    e->loss +=
        lm_model_forward(e->model, &scored, NULL, e->inputs, e->targets, B, S, PEER_MODE_EVAL);
    e->scored += scored;
    add_usage(e, B * S);
}

static struct lm_eval_result result_of(const struct evaluation *e)
{
    double nats = e->loss / (double)e->scored;
    return (struct lm_eval_result){
        .tokens = e->scored,
        .bytes = e->bytes,
        .nats = nats,
        .perplexity = exp(nats),
        .bits_per_byte = e->bytes ? e->loss / ((double)e->bytes * log(2)) : NAN,
    };
}

enum peer_status lm_evaluate(struct lm_eval_result *ret, struct peer_ctx *ctx,
                             struct lm_model *model, const struct lm_corpus *corpus,
                             const struct lm_vocabulary *vocabulary, int64_t tokens, int64_t length,
                             int64_t sequences, struct lm_usage *const *usage,
                             bool (*stop)(void *user), void *user)
{
    static const char who[] = "lm_evaluate";
    int64_t context = lm_model_config(model)->context, most = lm_corpus_tokens(corpus) - 1;
    if (tokens < 0 || length < 1 || length > context || sequences < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld, length = %lld, sequences = %lld, expected >= 0, "
                         "1 ... %lld, >= 1",
                         who, (long long)tokens, (long long)length, (long long)sequences,
                         (long long)context);
    struct peer_pool pool = {.ctx = ctx};
    struct evaluation e = {
        .model = model,
        .corpus = corpus,
        .vocabulary = vocabulary,
        .total = tokens ? peer_min(tokens, most) : most,
        .length = length,
        .inputs = peer_pool_ids(&pool, who, sequences, length),
        .targets = peer_pool_ids(&pool, who, sequences, length),
        .usage = usage,
    };
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    int64_t windows = peer_tiles(e.total, length);
    for (int64_t first = 0; !status && first < windows; first += sequences) {
        if (stop && stop(user))
            status = peer_fail(ctx, PEER_ERR_STOPPED, "%s: stopped after %lld of %lld tokens", who,
                               (long long)e.scored, (long long)e.total);
        else
            score_windows(&e, first, peer_min(sequences, windows - first));
    }
    peer_pool_free(&pool);
    if (!status)
        *ret = result_of(&e);
    return status;
}
