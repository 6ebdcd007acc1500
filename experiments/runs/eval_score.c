/* SPDX-License-Identifier: MIT */
/* Scoring of one text by one model or several. */
#include <math.h>

#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/runs/eval_text.h"
#include "lm/ensemble.h"
#include "nn/parallel.h"

/* Shown and asked before each pass. */
struct watch {
    struct lab_progress progress;
    int64_t room, passes; /* most tokens of a pass */
    bool show;
};

static bool stop_asked(void *user)
{
    struct watch *watch = user;
    double done = (double)(watch->passes++ * watch->room);
    if (watch->show)
        lab_progress_update(&watch->progress, fmin(done, watch->progress.total), NULL);
    return lab_stop_asked(NULL);
}

static struct lab_eval_score score_of_stream(const struct lm_eval_result *result)
{
    return (struct lab_eval_score){.result = *result,
                                   .word_perplexity = NAN,
                                   .last_perplexity = NAN,
                                   .last_nats_error = NAN,
                                   .last_accuracy = NAN};
}

/* Held-out text: what training reports at its end. */
static enum peer_status score_stream(struct lab_eval_score *ret, struct peer_ctx *ctx,
                                     const struct lab_eval_text *text,
                                     const struct lab_eval_setting *s, struct watch *watch)
{
    int64_t sequences = s->length > 0 ? watch->room / s->length : 1;
    struct peer_pool pool = {.ctx = ctx};
    struct lm_eval_result *each =
        peer_pool_alloc(&pool, "lab_eval_text_score", sizeof *each, s->models + 1, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK && s->models == 1)
        status = lm_evaluate(&each[0], ctx, s->list[0], text->scored, text->data.vocabulary,
                             s->tokens, s->length, sequences, s->usage, stop_asked, watch);
    else if (status == PEER_OK)
        status = lm_ensemble_evaluate(&each[s->models], each, ctx, s->list, s->models, text->scored,
                                      text->data.vocabulary, s->tokens, s->length, sequences,
                                      stop_asked, watch);
    if (status == PEER_OK && s->models == 1)
        each[1] = each[0];
    for (int64_t m = 0; m <= s->models && status == PEER_OK; m++)
        ret[m] = score_of_stream(&each[m]);
    peer_pool_free(&pool);
    return status;
}

/* What the form counts, for the share of the text that was scored. */
static struct lab_eval_score score_of(const struct lab_eval_text *text,
                                      const struct lm_documents_result *r)
{
    struct lab_eval_score score = score_of_stream(&r->text);
    double nats = r->text.nats * (double)r->text.tokens;
    score.documents = r->documents;
    score.longer = r->longer;
    if (text->counts.words) {
        double share = (double)r->text.bytes / (double)text->counts.written;
        score.words = llround(share * (double)text->counts.words);
        score.word_perplexity = exp(nats / (double)score.words);
        score.result.bytes = llround(share * (double)text->counts.bytes);
        score.result.bits_per_byte = nats / ((double)score.result.bytes * log(2));
    }
    if (text->tails) {
        score.passages = r->tails;
        score.last_perplexity = exp(r->tail_nats);
        score.last_nats_error = r->tail_nats_error;
        score.last_accuracy = r->tail_exact;
    }
    return score;
}

static enum peer_status score_documents(struct lab_eval_score *ret, struct peer_ctx *ctx,
                                        const struct lab_eval_text *text,
                                        const struct lab_eval_setting *s, struct watch *watch)
{
    struct lm_documents documents = {.corpus = text->scored,
                                     .vocabulary = text->data.vocabulary,
                                     .end = text->end,
                                     .tails = text->tails,
                                     .tokens = s->tokens,
                                     .length = s->length,
                                     .stop = stop_asked,
                                     .user = watch};
    struct peer_pool pool = {.ctx = ctx};
    struct lm_documents_result *each =
        peer_pool_alloc(&pool, "lab_eval_text_score", sizeof *each, s->models + 1, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK)
        status = lm_documents_evaluate(each, ctx, s->list, s->models, &documents, s->usage);
    for (int64_t m = 0; m <= s->models && status == PEER_OK; m++)
        ret[m] = score_of(text, &each[m]);
    peer_pool_free(&pool);
    return status;
}

enum peer_status lab_eval_text_score(struct lab_eval_score *ret, struct peer_ctx *ctx,
                                     const struct lab_eval_text *text,
                                     const struct lab_eval_setting *setting)
{
    struct watch watch = {.room = lm_model_tokens(setting->list[0]), .show = setting->show};
    int64_t tokens = lm_corpus_tokens(text->scored);
    if (setting->tokens && setting->tokens < tokens)
        tokens = setting->tokens;
    for (int64_t m = 1; m < setting->models; m++)
        watch.room = peer_min(watch.room, lm_model_tokens(setting->list[m]));
    lab_progress_start(&watch.progress, text->name, "tokens", (double)tokens, 0);
    enum peer_status status = text->form == LAB_FORM_HELD_OUT
                                  ? score_stream(ret, ctx, text, setting, &watch)
                                  : score_documents(ret, ctx, text, setting, &watch);
    lab_progress_end(&watch.progress);
    return status;
}
