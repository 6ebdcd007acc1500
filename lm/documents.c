/* SPDX-License-Identifier: MIT */
#include "lm/documents.h"

#include <math.h>
#include <string.h>

#include "lm/documents_cut.h"
#include "lm/ensemble.h"
#include "lm/spread.h"
#include "lm/windows.h"
#include "nn/parallel.h"

/* What one model, or the mean of all, came to. */
struct tally {
    double *losses;      /* [windows] */
    double *tail_losses; /* [documents] */
    bool *missed;        /* [documents] a token of the tail was not the most likely */
};

struct scorer {
    const struct lm_documents *documents;
    struct lm_cut cut;
    struct lm_model *const *list;
    int64_t models, vocab, room; /* room: positions of a pass */
    struct lm_usage *const *usage;
    struct tally *tally;             /* [models + 1] */
    int32_t *inputs, *targets;       /* [room] */
    float *losses, *logits;          /* [models, room]; [V] */
    double *token;                   /* [models] losses of one token */
    double *values, *mean;           /* [V] logits of one model, summed probabilities of all */
    double *part_loss, *part_tokens; /* [documents] */
    struct peer_pool pool;
};

static int64_t shortest(struct lm_model *const *list, int64_t models, bool context)
{
    int64_t least = INT64_MAX;
    for (int64_t m = 0; m < models; m++)
        least =
            peer_min(least, context ? lm_model_config(list[m])->context : lm_model_tokens(list[m]));
    return least;
}

static enum peer_status check(struct peer_ctx *ctx, struct lm_model *const *list, int64_t models,
                              const struct lm_documents *d)
{
    int64_t most = peer_min(shortest(list, models, true), shortest(list, models, false));
    int64_t vocab = lm_model_config(list[0])->vocab;
    if (d->tokens < 0 || d->length < 1 || d->length > most || d->end < 0 || d->end >= vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_documents_evaluate: tokens = %lld, length = %lld, end = %d, expected "
                         ">= 0, 1 ... %lld, 0 ... %lld",
                         (long long)d->tokens, (long long)d->length, (int)d->end, (long long)most,
                         (long long)vocab - 1);
    for (int64_t m = 1; m < models; m++)
        if (lm_model_config(list[m])->vocab != vocab)
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "lm_documents_evaluate: vocabulary of model 0 = %lld, of model %lld = "
                             "%lld, expected one",
                             (long long)vocab, (long long)m,
                             (long long)lm_model_config(list[m])->vocab);
    return PEER_OK;
}

static void allocate(struct scorer *s)
{
    static const char who[] = "lm_documents_evaluate";
    struct peer_pool *pool = &s->pool;
    lm_cut_make(&s->cut, pool, s->documents);
    s->tally = peer_pool_alloc(pool, who, sizeof *s->tally, s->models + 1, 1, 1);
    for (int64_t m = 0; m <= s->models && s->tally; m++) {
        struct tally *t = &s->tally[m];
        t->losses = peer_pool_alloc(pool, who, sizeof *t->losses, s->cut.count, 1, 1);
        t->tail_losses = peer_pool_alloc(pool, who, sizeof *t->tail_losses, s->cut.documents, 1, 1);
        t->missed = peer_pool_alloc(pool, who, sizeof *t->missed, s->cut.documents, 1, 1);
    }
    s->part_loss = peer_pool_alloc(pool, who, sizeof *s->part_loss, s->cut.documents, 1, 1);
    s->part_tokens = peer_pool_alloc(pool, who, sizeof *s->part_tokens, s->cut.documents, 1, 1);
    s->inputs = peer_pool_ids(pool, who, s->room, 1);
    s->targets = peer_pool_ids(pool, who, s->room, 1);
    s->losses = peer_pool_floats(pool, who, s->models, s->room);
    s->logits = peer_pool_floats(pool, who, s->vocab, 1);
    s->token = peer_pool_alloc(pool, who, sizeof *s->token, s->models, 1, 1);
    s->values = peer_pool_alloc(pool, who, sizeof *s->values, s->vocab, 1, 1);
    s->mean = peer_pool_alloc(pool, who, sizeof *s->mean, s->vocab, 1, 1);
}

/* Inputs and targets [B, S] of B windows, padded behind the shorter ones. */
static void fill(struct scorer *s, const struct lm_cut_window *const *windows, int64_t B, int64_t S)
{
    const struct lm_corpus *corpus = s->documents->corpus;
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < S; i++) {
            const struct lm_cut_window *w = windows[b];
            int64_t at = w->first + i, t = b * S + i;
            bool in = i < w->length;
            s->inputs[t] = !in ? -1 : at > 0 ? lm_corpus_id(corpus, at - 1) : s->documents->end;
            s->targets[t] = in && i >= w->skip ? lm_corpus_id(corpus, at) : -1;
        }
}

static void forward(struct scorer *s, int64_t B, int64_t S)
{
    for (int64_t m = 0; m < s->models; m++) {
        int64_t scored;
        lm_model_forward(s->list[m], &scored, s->losses + m * s->room, s->inputs, s->targets, B, S,
                         PEER_MODE_EVAL);
    }
    for (int64_t block = 0; s->usage && block < lm_model_config(s->list[0])->blocks; block++) {
        struct peer_routing routing;
        if (s->usage[block] && lm_model_routing(s->list[0], block, &routing))
            lm_usage_add(s->usage[block], &routing, s->targets, B * S);
    }
}

/* Whether `values` [V] are largest at `id`, and there first. A NaN is no largest. */
static bool is_first(const double *values, int64_t V, int32_t id)
{
    for (int64_t v = 0; v < V; v++)
        if (v < id ? !(values[v] < values[id]) : !(values[v] <= values[id]))
            return false;
    return true;
}

/* Adds the probabilities of `logits` [V] to mean. */
static void add_softmax(double *mean, const double *logits, int64_t V)
{
    double largest = logits[0], sum = 0;
    for (int64_t v = 1; v < V; v++)
        largest = logits[v] > largest ? logits[v] : largest;
    for (int64_t v = 0; v < V; v++)
        sum += exp(logits[v] - largest);
    for (int64_t v = 0; v < V; v++)
        mean[v] += exp(logits[v] - largest) / sum;
}

/* Position i of sequence b of the pass, of S each, belongs to the tail of `document`. */
static void look_at_tail(struct scorer *s, int64_t b, int64_t i, int64_t S, int64_t document)
{
    int64_t V = s->vocab, M = s->models;
    int32_t target = s->targets[b * S + i];
    memset(s->mean, 0, (size_t)V * sizeof *s->mean);
    for (int64_t m = 0; m < M; m++) {
        lm_model_logits_at(s->list[m], s->logits, b, i);
        for (int64_t v = 0; v < V; v++)
            s->values[v] = s->logits[v];
        s->tally[m].missed[document] |= !is_first(s->values, V, target);
        if (M > 1)
            add_softmax(s->mean, s->values, V);
    }
    s->tally[M].missed[document] |=
        M > 1 ? !is_first(s->mean, V, target) : s->tally[0].missed[document];
}

/* Adds up the losses of window b of the pass, which is window `number` of the text. */
static void take(struct scorer *s, const struct lm_cut_window *w, int64_t b, int64_t S)
{
    int64_t number = w - s->cut.windows, tail = s->cut.tail[w->document];
    for (int64_t i = w->skip; i < w->length; i++) {
        bool in_tail = w->first + i >= tail;
        for (int64_t m = 0; m <= s->models; m++) {
            double loss = m < s->models ? (double)s->losses[m * s->room + b * S + i]
                                        : lm_ensemble_loss(s->token, s->models);
            if (m < s->models)
                s->token[m] = loss;
            s->tally[m].losses[number] += loss;
            s->tally[m].tail_losses[w->document] += in_tail ? loss : 0;
        }
        if (in_tail)
            look_at_tail(s, b, i, S, w->document);
    }
}

static enum peer_status run(struct scorer *s)
{
    const struct lm_documents *d = s->documents;
    int64_t B;
    for (int64_t done = 0; done < s->cut.count; done += B) {
        const struct lm_cut_window *const *windows = s->cut.order + done;
        int64_t S = windows[0]->length;
        B = peer_min(s->room / S, s->cut.count - done);
        if (d->stop && d->stop(d->user))
            return peer_fail(s->pool.ctx, PEER_ERR_STOPPED,
                             "lm_documents_evaluate: stopped after %lld of %lld windows",
                             (long long)done, (long long)s->cut.count);
        fill(s, windows, B, S);
        forward(s, B, S);
        for (int64_t b = 0; b < B; b++)
            take(s, windows[b], b, S);
    }
    return PEER_OK;
}

/* Bytes of the scored tokens. */
static int64_t count_bytes(const struct scorer *s)
{
    const struct lm_corpus *corpus = s->documents->corpus;
    int64_t sum = 0;
    for (int64_t i = 0; s->documents->vocabulary && i < s->cut.count; i++) {
        const struct lm_cut_window *w = &s->cut.windows[i];
        for (int64_t at = w->first + w->skip; at < w->first + w->length; at++) {
            int64_t bytes;
            lm_vocabulary_text(s->documents->vocabulary, lm_corpus_id(corpus, at), &bytes);
            sum += bytes;
        }
    }
    return sum;
}

/* Over documents; over blocks of a single one. */
static double error_of(const struct scorer *s, const struct tally *tally)
{
    struct lm_spread spread = {.windows = s->cut.count};
    for (int64_t d = 0; d < s->cut.documents; d++)
        s->part_loss[d] = s->part_tokens[d] = 0;
    for (int64_t i = 0; i < s->cut.count; i++) {
        const struct lm_cut_window *w = &s->cut.windows[i];
        double tokens = (double)(w->length - w->skip);
        s->part_loss[w->document] += tally->losses[i];
        s->part_tokens[w->document] += tokens;
        lm_spread_add(&spread, i, tally->losses[i], tokens);
    }
    return s->cut.documents > 1 ? lm_spread_of(s->part_loss, s->part_tokens, s->cut.documents)
                                : lm_spread_error(&spread);
}

static struct lm_documents_result result_of(const struct scorer *s, const struct tally *tally,
                                            int64_t bytes)
{
    struct lm_documents_result r = {.documents = s->cut.documents, .longer = s->cut.longer};
    double loss = 0, tails = 0;
    int64_t exact = 0;
    for (int64_t i = 0; i < s->cut.count; i++)
        loss += tally->losses[i];
    for (int64_t d = 0; d < s->cut.documents; d++) {
        bool has = s->cut.tail[d] < INT64_MAX;
        r.tails += has;
        exact += has && !tally->missed[d];
        tails += tally->tail_losses[d];
    }
    r.text = lm_windows_result(loss, s->cut.tokens, bytes);
    r.text.nats_error = error_of(s, tally);
    for (int64_t d = 0; d < s->cut.documents; d++) {
        s->part_tokens[d] = s->cut.tail[d] < INT64_MAX;
        s->part_loss[d] = tally->tail_losses[d];
    }
    r.tail_nats_error = lm_spread_of(s->part_loss, s->part_tokens, s->cut.documents);
    r.tail_nats = r.tails ? tails / (double)r.tails : NAN;
    r.tail_exact = r.tails ? (double)exact / (double)r.tails : NAN;
    return r;
}

enum peer_status lm_documents_evaluate(struct lm_documents_result *ret, struct peer_ctx *ctx,
                                       struct lm_model *const *list, int64_t models,
                                       const struct lm_documents *documents,
                                       struct lm_usage *const *usage)
{
    enum peer_status status = check(ctx, list, models, documents);
    if (status)
        return status;
    struct scorer s = {.documents = documents,
                       .list = list,
                       .models = models,
                       .vocab = lm_model_config(list[0])->vocab,
                       .room = shortest(list, models, false),
                       .usage = usage,
                       .pool = {.ctx = ctx}};
    allocate(&s);
    if (s.pool.failed)
        status = PEER_ERR_MEMORY;
    else if (s.cut.tokens == 0)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "lm_documents_evaluate: no document of %lld ids has a token to score",
                           (long long)lm_corpus_tokens(documents->corpus));
    else
        status = run(&s);
    int64_t bytes = status ? 0 : count_bytes(&s);
    for (int64_t m = 0; !status && m <= models; m++)
        ret[m] = result_of(&s, &s.tally[m], bytes);
    peer_pool_free(&s.pool);
    return status;
}
