/* SPDX-License-Identifier: MIT */
#include "experiments/facts/probe.h"

#include <math.h>

#include "nn/parallel.h"
#include "nn/random.h"

/* One question: the value of a fact, after position `at` of the batch. */
struct question {
    int32_t at, id;
};

struct asking {
    const struct lab_facts *facts;
    const struct lab_facts_model *model;
    const struct lab_facts_probe *probe;
    int64_t vocab, sample, next; /* next = facts asked before this batch */
    int32_t *order;              /* [P A] */
    int32_t *inputs;             /* [sequences, length] */
    struct question *questions;  /* [sequences * length], more than there can be */
    int64_t count;               /* of questions in the batch */
    float *logits;               /* [vocab] */
    struct lab_facts_tally tally;
};

enum peer_status lab_facts_probe_check(struct peer_ctx *ctx, const struct lab_facts *facts,
                                       int64_t vocab, int64_t length)
{
    int64_t words = lab_facts_vocabulary(&facts->config);
    if (vocab != words)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: the table's vocabulary is %lld, the model's %lld",
                         (long long)words, (long long)vocab);
    if (length > LAB_FACTS_SENTENCE)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "facts: windows of %lld tokens do not hold a full stop and a sentence of up "
                     "to %d, expected at least %d",
                     (long long)length, LAB_FACTS_SENTENCE, LAB_FACTS_SENTENCE + 1);
}

/* Fills window b with sentences of the facts that come next, and notes the questions. */
static void fill_window(struct asking *a, int64_t b)
{
    int64_t S = a->probe->length, used = 0;
    int32_t *window = a->inputs + b * S;
    uint64_t seed = (uint64_t)a->facts->config.seed, stream = peer_stream("facts: probe template");
    window[used++] = LAB_FACTS_STOP;
    while (a->next < a->sample) {
        uint16_t ids[LAB_FACTS_SENTENCE];
        uint32_t template = peer_random_below(seed, stream, (uint64_t)a->next,
                                              (uint32_t)a->facts->config.templates);
        int length = lab_facts_sentence(ids, a->facts, a->order[a->next], (int)template);
        if (used + length > S)
            break;
        for (int i = 0; i < length; i++)
            window[used++] = ids[i];
        a->questions[a->count++] = (struct question){(int32_t)(b * S + used - 3), ids[length - 2]};
        a->next++;
    }
    while (used < S)
        window[used++] = -1;
}

/* -log2 of the probability of `id`, and whether no other id is as likely. */
static double surprise(const float *logits, int64_t vocab, int64_t id, bool *right)
{
    double largest = -INFINITY, sum = 0;
    *right = true;
    for (int64_t i = 0; i < vocab; i++) {
        largest = fmax(largest, (double)logits[i]);
        *right = *right && (i == id || logits[i] < logits[id]);
    }
    for (int64_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - largest);
    return (log(sum) + largest - (double)logits[id]) / log(2);
}

static void ask_batch(struct asking *a)
{
    int64_t S = a->probe->length, B = 0;
    double value_bits = log2((double)a->facts->config.values);
    a->count = 0;
    while (B < a->probe->sequences && a->next < a->sample)
        fill_window(a, B++);
    a->model->read(a->model->user, a->inputs, B, S);
    for (int64_t i = 0; i < a->count; i++) {
        bool right;
        struct question question = a->questions[i];
        a->model->logits(a->model->user, a->logits, question.at / S, question.at % S);
        double bits = surprise(a->logits, a->vocab, question.id, &right);
        lab_facts_tally_add(&a->tally, value_bits, bits, right);
    }
}

enum peer_status lab_facts_ask(struct lab_facts_score *ret, struct peer_ctx *ctx,
                               const struct lab_facts *facts, const struct lab_facts_model *model,
                               const struct lab_facts_probe *probe)
{
    int64_t vocab = lab_facts_vocabulary(&facts->config);
    enum peer_status status = lab_facts_probe_check(ctx, facts, vocab, probe->length);
    if (status != PEER_OK)
        return status;
    if (probe->sample < 1 || probe->sequences < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: sample = %lld, sequences = %lld, expected >= 1, >= 1",
                         (long long)probe->sample, (long long)probe->sequences);
    struct peer_pool pool = {.ctx = ctx};
    struct asking a = {.facts = facts, .model = model, .probe = probe, .vocab = vocab};
    a.sample = peer_min(probe->sample, facts->count);
    a.order = peer_pool_ids(&pool, "facts: order", facts->count, 1);
    a.inputs = peer_pool_ids(&pool, "facts: windows", probe->sequences, probe->length);
    a.questions = peer_pool_alloc(&pool, "facts: questions", sizeof *a.questions, probe->sequences,
                                  probe->length, 1);
    a.logits = peer_pool_floats(&pool, "facts: logits", vocab, 1);
    status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK)
        lab_facts_shuffle(facts, a.order, "facts: probe order", 0);
    while (status == PEER_OK && a.next < a.sample) {
        if (probe->stop && probe->stop(probe->user))
            status = peer_fail(ctx, PEER_ERR_STOPPED, "facts: stopped after %lld of %lld facts",
                               (long long)a.next, (long long)a.sample);
        else
            ask_batch(&a);
    }
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = lab_facts_score(&a.tally, facts->count, log2((double)facts->config.values));
    return status;
}

/* A language model that scores nothing: its logits are made where they are asked for. */
struct reader {
    struct lm_model *model;
    int32_t *targets; /* [tokens], -1 */
};

static void read_lm(void *user, const int32_t *inputs, int64_t B, int64_t S)
{
    const struct reader *reader = user;
    int64_t scored;
    lm_model_forward(reader->model, &scored, NULL, inputs, reader->targets, B, S, PEER_MODE_EVAL);
}

static void logits_lm(void *user, float *logits, int64_t b, int64_t s)
{
    const struct reader *reader = user;
    lm_model_logits_at(reader->model, logits, b, s);
}

enum peer_status lab_facts_ask_lm(struct lab_facts_score *ret, struct peer_ctx *ctx,
                                  const struct lab_facts *facts, struct lm_model *model,
                                  int64_t length, int64_t sample, bool (*stop)(void *user),
                                  void *user)
{
    int64_t tokens = lm_model_tokens(model);
    enum peer_status status =
        lab_facts_probe_check(ctx, facts, lm_model_config(model)->vocab, length);
    if (status != PEER_OK)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct reader reader = {model, peer_pool_ids(&pool, "facts: targets", tokens, 1)};
    for (int64_t i = 0; i < tokens && reader.targets; i++)
        reader.targets[i] = -1;
    const struct lab_facts_model asked = {&reader, read_lm, logits_lm};
    const struct lab_facts_probe probe = {sample, length, tokens / length, stop, user};
    status = pool.failed ? PEER_ERR_MEMORY : lab_facts_ask(ret, ctx, facts, &asked, &probe);
    peer_pool_free(&pool);
    return status;
}
