/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lm/documents.h"
#include "nn/layers/norm.h"
#include "nn/random.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/run_case.h"

enum { SEED = 5, V = RUN_CASE_VOCAB, S = RUN_CASE_CONTEXT, END = V - 1, TOKENS = 3 * S };

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 2;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    dir = tempdir_create();
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(documents, .init = set_up, .fini = tear_down);

static struct lm_corpus *corpus_of(const uint16_t *ids, int64_t count)
{
    struct lm_corpus *corpus = NULL;
    struct tempfile file = tempdir_file(&dir, "documents.bin");
    const char *path = file.path;
    struct lm_corpus_source source = {&path, 1, LM_DTYPE_UINT16, true};
    tempfile_write(&file, ids, (size_t)count * sizeof *ids);
    cr_assert_eq(lm_corpus_open(&corpus, ctx, &source, V), PEER_OK, "%s", peer_ctx_error(ctx));
    return corpus;
}

/* Ten documents of 0, 3, 6 ... 27 random ids. */
enum { DOCUMENTS = 10, LONGEST = 3 * (DOCUMENTS - 1), SCORED = 3 * 45, IDS = SCORED + DOCUMENTS };

static struct lm_corpus *random_corpus(void)
{
    uint16_t ids[IDS];
    int64_t used = 0;
    for (int64_t d = 0; d < DOCUMENTS; d++) {
        for (int64_t i = 0; i < 3 * d; i++, used++)
            ids[used] = (uint16_t)peer_random_below(SEED, 1, (uint64_t)used, END);
        ids[used++] = END;
    }
    return corpus_of(ids, used);
}

static struct lm_model *model_of(const struct peer_ffw_type *type, int64_t tokens)
{
    struct run_case setting;
    run_case_init(&setting, type);
    return run_case_separate(&setting) ? run_case_model(&setting, ctx, tokens, SEED) : NULL;
}

static void set_zero(struct lm_model *model)
{
    const struct peer_params *params = lm_model_params(model);
    for (int64_t i = 0; i < params->count; i++)
        memset(params->items[i].data, 0,
               (size_t)peer_param_size(&params->items[i]) * sizeof(float));
}

/* Embeddings are unit vectors and blocks add nothing: the logit of the last token is `scale`, all
 * others are 0. scale = 0: all are. */
static struct lm_model *repeater(double scale, int64_t tokens)
{
    struct lm_model *model = model_of(NULL, tokens);
    const struct peer_params *params = lm_model_params(model);
    int64_t D = lm_model_config(model)->width;
    set_zero(model);
    for (int64_t i = 0; i < params->count; i++) {
        float *data = params->items[i].data;
        for (int64_t v = 0; v < V && strcmp(params->items[i].name, "embed") == 0; v++)
            data[v * D + v] = 1;
        for (int64_t j = 0; j < D && strcmp(params->items[i].name, "norm.gain") == 0; j++)
            data[j] = (float)(scale * sqrt(1 / (double)D + (double)PEER_RMSNORM_EPSILON));
    }
    return model;
}

static double repeated(double scale)
{
    return log(exp(scale) + V - 1) - scale;
}

static double changed(double scale)
{
    return log(exp(scale) + V - 1);
}

static struct lm_documents_result evaluate(struct lm_model *model, const struct lm_documents *d)
{
    struct lm_documents_result result[2];
    cr_assert_eq(lm_documents_evaluate(result, ctx, &model, 1, d, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_arr_eq(&result[0], &result[1], sizeof *result, "the mean of one is that one");
    return result[0];
}

/* The loss of one document's first n tokens: each window by a plain pass. */
static double by_windows(struct lm_model *model, const int32_t *ids, int64_t n, int64_t length)
{
    double sum = 0;
    for (int64_t from = 0; from < n; from += length) {
        int32_t inputs[S], targets[S];
        float losses[S];
        int64_t scored, to = from + length < n ? from + length : n;
        int64_t start = n > length ? to - length : 0;
        for (int64_t i = start; i < to; i++) {
            inputs[i - start] = i ? ids[i - 1] : END;
            targets[i - start] = ids[i];
        }
        lm_model_forward(model, &scored, losses, inputs, targets, 1, to - start, PEER_MODE_EVAL);
        for (int64_t i = from; i < to; i++)
            sum += losses[i - start];
    }
    return sum;
}

/* However windows are put together, and whatever a document's neighbours. Sums of at most 135
 * positive terms of float's precision differ by less than 135 units of the last place. */
Test(documents, are_scored_one_by_one)
{
    struct lm_corpus *corpus = random_corpus();
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        for (int64_t room = S; room <= 5 * S; room += 4 * S) {
            struct lm_model *model = model_of(*type, room);
            for (int64_t length = 1; model && length <= S; length += 4)
                for (int64_t tokens = 0; tokens <= SCORED + 1; tokens += 45) {
                    int64_t left = tokens && tokens < SCORED ? tokens : SCORED, at = 1, taken = 0;
                    int64_t longer = 0;
                    double loss = 0;
                    for (int64_t d = 1; d < DOCUMENTS && taken < left; at += 3 * d + 1, d++) {
                        int64_t n = left - taken < 3 * d ? left - taken : 3 * d;
                        int32_t ids[LONGEST];
                        lm_corpus_read(corpus, ids, at, n);
                        loss += by_windows(model, ids, n, length);
                        taken += n;
                        longer += n > length;
                    }
                    struct lm_documents_result got = evaluate(
                        model,
                        &(struct lm_documents){
                            .corpus = corpus, .end = END, .tokens = tokens, .length = length});
                    cr_expect_eq(got.text.tokens, left);
                    cr_expect_eq(got.longer, longer);
                    cr_expect_lt(fabs(got.text.nats * (double)left - loss), SCORED * 0x1p-23 * loss,
                                 "%s", (*type)->name);
                    cr_expect(isnan(got.tail_nats) && isnan(got.tail_exact) && got.tails == 0);
                }
            lm_model_destroy(&model);
        }
    lm_corpus_close(&corpus);
}

/* Pieces of id + 1 bytes; the ends' bytes do not count. */
Test(documents, bits_per_byte_by_hand)
{
    char lines[512];
    int used = 0;
    for (int i = 0; i < V; i++)
        used += snprintf(lines + used, sizeof lines - (size_t)used, "%.*s\t0\n", i + 1,
                         "abcdefghijklmno");
    struct tempfile file = tempdir_file(&dir, "tokenizer.vocab");
    tempfile_write(&file, lines, strlen(lines));
    struct lm_vocabulary *vocabulary = NULL;
    cr_assert_eq(lm_vocabulary_open(&vocabulary, ctx, file.path), PEER_OK);
    const uint16_t ids[] = {2, 0, END, END, 4, END, 9, 9, 1};
    struct lm_corpus *corpus = corpus_of(ids, 9);
    struct lm_model *model = repeater(0, TOKENS);
    struct lm_documents d = {.corpus = corpus, .vocabulary = vocabulary, .end = END, .length = 2};
    struct lm_documents_result got = evaluate(model, &d);
    cr_expect_eq(got.documents, 3);
    cr_expect_eq(got.longer, 1);
    cr_expect_eq(got.text.tokens, 6);
    cr_expect_eq(got.text.bytes, 3 + 1 + 5 + 10 + 10 + 2);
    cr_expect_lt(fabs(got.text.nats - log(V)), 1e-6);
    cr_expect_lt(fabs(got.text.bits_per_byte - 6 * log2(V) / 31), 1e-6);
    lm_model_destroy(&model);
    lm_vocabulary_close(&vocabulary);
    lm_corpus_close(&corpus);
}

/* Tails of 1, 2, 1, 2, 3 tokens under a model that repeats the last token. */
Test(documents, tails_by_hand)
{
    const uint16_t ids[] = {3, 3, END, 1, 2, 2, END, 5, END, 7, 4, 4, 4, END, 6, 6, 6, END};
    const int32_t tails[] = {1, 2, 1, 2, 0};
    struct lm_corpus *corpus = corpus_of(ids, 18);
    struct lm_documents d = {.corpus = corpus, .end = END, .tails = tails, .length = 2};
    struct lm_model *model = repeater(6, TOKENS);
    double r = repeated(6), c = changed(6);
    struct lm_documents_result got = evaluate(model, &d);
    cr_expect_eq(got.documents, 5);
    cr_expect_eq(got.longer, 3);
    cr_expect_eq(got.tails, 4);
    cr_expect_eq(got.tail_exact, 0.5, "%g", got.tail_exact);
    cr_expect_lt(fabs(got.tail_nats - (r + (c + r) + c + 2 * r) / 4), 1e-5, "%g", got.tail_nats);
    cr_expect_lt(fabs(got.text.nats - (7 * c + 6 * r) / 13), 1e-5, "%g", got.text.nats);

    d.tokens = 9; /* one token of the fourth document is left out */
    got = evaluate(model, &d);
    cr_expect_eq(got.documents, 4);
    cr_expect_eq(got.tails, 3);
    cr_expect_lt(fabs(got.tail_exact - 1. / 3), 1e-15);
    lm_model_destroy(&model);
    lm_corpus_close(&corpus);
}

/* Nothing stands before the first document of a file; the end of documents does all the same. */
Test(documents, the_first_follows_an_end)
{
    const uint16_t ids[] = {0, 0, END};
    struct lm_corpus *corpus = corpus_of(ids, 3);
    struct lm_model *model = repeater(6, TOKENS);
    struct lm_documents d = {.corpus = corpus, .end = END, .length = S};
    cr_expect_lt(fabs(evaluate(model, &d).text.nats - (changed(6) + repeated(6)) / 2), 1e-5);
    lm_model_destroy(&model);
    lm_corpus_close(&corpus);
}

/* All logits equal: 0 is the most likely, being the first. */
Test(documents, ties_go_to_the_lower_id)
{
    const uint16_t ids[] = {3, 0, END, 3, 1, END};
    const int32_t tails[] = {1, 1};
    struct lm_corpus *corpus = corpus_of(ids, 6);
    struct lm_documents d = {.corpus = corpus, .end = END, .tails = tails, .length = S};
    struct lm_model *model = repeater(0, TOKENS);
    struct lm_documents_result got = evaluate(model, &d);
    cr_expect_eq(got.tail_exact, 0.5);
    cr_expect_lt(fabs(got.tail_nats - log(V)), 1e-6);
    lm_model_params(model)->items[0].data[0] = NAN;
    cr_expect_eq(evaluate(model, &d).tail_exact, 0, "NaN is never right");
    lm_model_destroy(&model);
    lm_corpus_close(&corpus);
}

/* Two repeaters: the mean's probabilities are worked out by hand. The last model's logit of a
 * repetition is lowest: alone it is never right, the mean with a surer one is. */
Test(documents, mean_of_models_by_hand)
{
    const uint16_t ids[] = {3, 3, 3, 8, END};
    const int32_t tails[] = {3};
    double scales[] = {7, -2}, same = 0, other = 0;
    struct lm_corpus *corpus = corpus_of(ids, 5);
    struct lm_documents d = {.corpus = corpus, .end = END, .tails = tails, .length = S};
    struct lm_model *list[] = {repeater(scales[0], TOKENS), repeater(scales[1], 2 * S)};
    struct lm_documents_result got[3];
    cr_assert_eq(lm_documents_evaluate(got, ctx, list, 2, &d, NULL), PEER_OK);
    for (int m = 0; m < 2; m++) {
        double r = repeated(scales[m]), c = changed(scales[m]);
        same += exp(-r) / 2;
        other += exp(-c) / 2;
        cr_expect_lt(fabs(got[m].text.nats - (2 * r + 2 * c) / 4), 1e-5);
        cr_expect_lt(fabs(got[m].tail_nats - (2 * r + c)), 1e-5);
        cr_expect_eq(got[m].tail_exact, 0);
    }
    cr_expect_lt(fabs(got[2].text.nats + (2 * log(same) + 2 * log(other)) / 4), 1e-5);
    cr_expect_lt(fabs(got[2].tail_nats + 2 * log(same) + log(other)), 1e-5);
    const uint16_t repeat[] = {END, 3, 3, 3, END};
    const int32_t two[] = {2};
    lm_corpus_close(&corpus);
    corpus = corpus_of(repeat, 5);
    d.corpus = corpus;
    d.tails = two;
    cr_assert_eq(lm_documents_evaluate(got, ctx, list, 2, &d, NULL), PEER_OK);
    cr_expect_eq(got[0].tail_exact, 1);
    cr_expect_eq(got[1].tail_exact, 0);
    cr_expect_eq(got[2].tail_exact, 1);
    lm_model_destroy(&list[0]);
    lm_model_destroy(&list[1]);
    lm_corpus_close(&corpus);
}

/* Windows that overlap count no token's routing twice. */
Test(documents, routing_counts_scored_tokens_once)
{
    struct lm_corpus *corpus = random_corpus();
    struct lm_documents d = {.corpus = corpus, .end = END, .length = 5};
    struct lm_model *model = model_of(peer_ffw_find("peer"), TOKENS);
    struct peer_routing routing;
    struct lm_usage *usage[3] = {NULL};
    struct lm_documents_result result[2];
    cr_assert(lm_model_routing(model, 1, &routing));
    cr_assert_eq(lm_usage_create(&usage[1], ctx, &routing), PEER_OK);
    cr_assert_eq(lm_documents_evaluate(result, ctx, &model, 1, &d, usage), PEER_OK);
    cr_expect_eq(usage[1]->tokens, SCORED);
    cr_expect_eq(usage[1]->offered, SCORED * routing.heads * routing.kept);
    lm_usage_destroy(&usage[1]);
    lm_model_destroy(&model);
    lm_corpus_close(&corpus);
}

static bool stop_at_two(void *user)
{
    int *asked = user;
    return ++*asked == 2;
}

Test(documents, stops_and_refuses)
{
    struct lm_corpus *corpus = random_corpus();
    struct lm_model *model = model_of(NULL, TOKENS);
    struct lm_documents_result result[2] = {{.documents = 77}};
    int asked = 0;
    struct lm_documents d = {
        .corpus = corpus, .end = END, .length = S, .stop = stop_at_two, .user = &asked};
    cr_expect_eq(lm_documents_evaluate(result, ctx, &model, 1, &d, NULL), PEER_ERR_STOPPED);
    cr_expect(strstr(peer_ctx_error(ctx), "after 3 of 18 windows"), "%s", peer_ctx_error(ctx));
    static const struct lm_documents cases[] = {{.length = 0},
                                                {.length = S + 1},
                                                {.length = 1, .tokens = -1},
                                                {.length = 1, .end = -1},
                                                {.length = 1, .end = V}};
    for (int i = 0; i < 5; i++) {
        struct lm_documents bad = cases[i];
        bad.corpus = corpus;
        cr_expect_eq(lm_documents_evaluate(result, ctx, &model, 1, &bad, NULL), PEER_ERR_ARGUMENT);
    }
    lm_corpus_close(&corpus);
    const uint16_t empty[] = {END, END, END};
    struct lm_documents none = {.corpus = corpus = corpus_of(empty, 3), .end = END, .length = 1};
    cr_expect_eq(lm_documents_evaluate(result, ctx, &model, 1, &none, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "no document of 3 ids"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(result[0].documents, 77);
    lm_model_destroy(&model);
    lm_corpus_close(&corpus);
}

Test(documents, survives_failing_allocations)
{
    struct lm_corpus *corpus = random_corpus();
    struct failing failing = {.granted = -1};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, small, TOKENS, SEED);
    struct lm_documents d = {.corpus = corpus, .end = END, .length = S};
    struct lm_documents_result result[2] = {{.documents = 77}};
    int64_t held = failing.held;
    enum peer_status status = PEER_ERR_MEMORY;
    int granted = 0;
    for (; granted < 100 && status == PEER_ERR_MEMORY; granted++) {
        failing.asked = 0;
        failing.granted = granted;
        status = lm_documents_evaluate(result, small, &model, 1, &d, NULL);
        cr_expect_eq(failing.held, held);
        cr_expect(status == PEER_OK || result[0].documents == 77);
    }
    cr_expect_eq(status, PEER_OK);
    cr_expect_gt(granted, 10);
    lm_model_destroy(&model);
    peer_ctx_destroy(&small);
    lm_corpus_close(&corpus);
}
