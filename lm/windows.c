/* SPDX-License-Identifier: MIT */
#include "lm/windows.h"

#include <math.h>

#include "nn/parallel.h"
#include "nn/pool.h"

/* Marks the targets beyond the first `left` as padding and returns the bytes of the others. */
static int64_t bound(const struct lm_windows *w, int32_t *inputs, int32_t *targets, int64_t count,
                     int64_t left)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i >= left)
            inputs[i] = targets[i] = -1;
        int64_t bytes = 0;
        if (w->vocabulary && targets[i] >= 0)
            lm_vocabulary_text(w->vocabulary, targets[i], &bytes);
        sum += bytes;
    }
    return sum;
}

struct lm_eval_result lm_windows_result(double loss, int64_t tokens, int64_t bytes)
{
    double nats = loss / (double)tokens;
    return (struct lm_eval_result){
        .tokens = tokens,
        .bytes = bytes,
        .nats = nats,
        .nats_error = NAN,
        .perplexity = exp(nats),
        .bits_per_byte = bytes ? loss / ((double)bytes * log(2)) : NAN,
    };
}

enum peer_status lm_windows_check(struct peer_ctx *ctx, const struct lm_windows *w, int64_t context)
{
    if (w->tokens < 0 || w->length < 1 || w->length > context || w->sequences < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld, length = %lld, sequences = %lld, expected >= 0, "
                         "1 ... %lld, >= 1",
                         w->who, (long long)w->tokens, (long long)w->length,
                         (long long)w->sequences, (long long)context);
    return PEER_OK;
}

/* Tokens to score. */
static int64_t total_of(const struct lm_windows *w)
{
    int64_t most = lm_corpus_tokens(w->corpus) - 1;
    return w->tokens ? peer_min(w->tokens, most) : most;
}

int64_t lm_windows_count(const struct lm_windows *windows)
{
    return peer_tiles(total_of(windows), windows->length);
}

enum peer_status lm_windows_run(struct lm_eval_result *ret, struct peer_ctx *ctx,
                                const struct lm_windows *w, int64_t context,
                                lm_windows_score *score, void *scorer)
{
    enum peer_status status = lm_windows_check(ctx, w, context);
    if (status)
        return status;
    int64_t S = w->length, total = total_of(w);
    int64_t windows = lm_windows_count(w), tokens = 0, bytes = 0;
    double loss = 0;
    struct peer_pool pool = {.ctx = ctx};
    int32_t *inputs = peer_pool_ids(&pool, w->who, w->sequences, S);
    int32_t *targets = peer_pool_ids(&pool, w->who, w->sequences, S);
    status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t first = 0; !status && first < windows; first += w->sequences) {
        int64_t B = peer_min(w->sequences, windows - first), scored = 0;
        if (w->stop && w->stop(w->user)) {
            status = peer_fail(ctx, PEER_ERR_STOPPED, "%s: stopped after %lld of %lld tokens",
                               w->who, (long long)tokens, (long long)total);
            break;
        }
        lm_corpus_window(w->corpus, inputs, targets, B, S, first);
        bytes += bound(w, inputs, targets, B * S, total - first * S);
        loss += score(scorer, &scored, inputs, targets, first, B, S);
        tokens += scored;
    }
    peer_pool_free(&pool);
    if (!status)
        *ret = lm_windows_result(loss, tokens, bytes);
    return status;
}
