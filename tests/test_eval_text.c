/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "experiments/runs/eval_rows.h"
#include "experiments/runs/eval_text.h"
#include "tests/support/data_job.h"

enum { V = 257, CONTEXT = 7 };

static struct data_place place;
static struct tempfile folder; /* with bytes as tokens */

static const char training[] = "The cat sat on the mat.\n\nThe dog sat on the cat, and the mat "
                               "was flat.\n\nA fat cat ate that rat on the mat.\n\n";

static void set_up(void)
{
    struct data_job job;
    place = data_place_create();
    data_text(&place, "in.txt", training);
    data_job_make(&job, &place, "in.txt");
    data_job_run(&job, &place);
    folder = job.out;
}

static void tear_down(void)
{
    data_place_remove(&place);
}

TestSuite(eval_text, .init = set_up, .fini = tear_down);

/* All logits are 0: each byte has probability 1 / 257. */
static struct lm_model *uniform_model(void)
{
    struct lm_model *model = NULL;
    struct lm_config config = lm_config_default(V, 8, 1);
    config.context = CONTEXT;
    cr_assert_eq(lm_model_create(&model, place.ctx, &config, 3 * CONTEXT, 1, false), PEER_OK, "%s",
                 peer_ctx_error(place.ctx));
    const struct peer_params *params = lm_model_params(model);
    for (int64_t i = 0; i < params->count; i++)
        memset(params->items[i].data, 0,
               (size_t)peer_param_size(&params->items[i]) * sizeof(float));
    return model;
}

static struct lab_eval_text open_text(enum lab_form form, const char *name, const char *content)
{
    struct tempfile file = data_text(&place, name, content);
    struct lab_text_source source = {.form = form, .path = file.path};
    struct lab_eval_text text;
    cr_assert_eq(lab_eval_text_open(&text, place.ctx, folder.path, V, &source), PEER_OK, "%s",
                 peer_ctx_error(place.ctx));
    cr_expect_str_eq(text.name, name);
    return text;
}

static struct lab_eval_score score(struct lab_eval_text *text, int64_t tokens)
{
    struct lm_model *model = uniform_model();
    struct lab_eval_score scores[2];
    struct lab_eval_setting setting = {
        .list = &model, .models = 1, .tokens = tokens, .length = CONTEXT};
    cr_assert_eq(lab_eval_text_score(scores, place.ctx, text, &setting), PEER_OK, "%s",
                 peer_ctx_error(place.ctx));
    lm_model_destroy(&model);
    lab_eval_text_close(text);
    return scores[0];
}

/* To float's precision in the loss of a token. */
static void expect_near(double got, double expected)
{
    cr_expect_lt(fabs(got - expected), 1e-6 * fabs(expected), "%.9g, expected %.9g", got, expected);
}

static void expect_uniform(const struct lab_eval_score *s, int64_t documents, int64_t tokens,
                           int64_t bytes)
{
    cr_expect_eq(s->documents, documents);
    cr_expect_eq(s->result.tokens, tokens);
    cr_expect_eq(s->result.bytes, bytes);
    expect_near(s->result.nats, log(V));
    expect_near(s->result.bits_per_byte, log2(V) * (double)tokens / (double)bytes);
}

Test(eval_text, plain_and_json_by_hand)
{
    struct lab_eval_text text = open_text(LAB_FORM_PLAIN, "a.jsonl", "{A\xc3\xa9\n}");
    struct lab_eval_score s = score(&text, 0);
    expect_uniform(&s, 1, 6, 6);
    cr_expect(s.words == 0 && isnan(s.word_perplexity));
    cr_expect(s.passages == 0 && isnan(s.last_perplexity) && isnan(s.last_accuracy));

    static const char lines[] =
        "{\"text\": \"abc\"}\n\n{\"text\": \"\"}\n{\"id\": 1, \"text\": \"de\\nfghijk\"}";
    text = open_text(LAB_FORM_JSON, "lines", lines);
    s = score(&text, 0);
    expect_uniform(&s, 2, 12, 12);
    cr_expect_eq(s.longer, 1);
    text = open_text(LAB_FORM_JSON, "lines", lines);
    s = score(&text, 5);
    expect_uniform(&s, 2, 5, 5);
}

Test(eval_text, held_out_is_one_stream)
{
    struct lab_text_source source = {.form = LAB_FORM_HELD_OUT};
    struct lab_eval_text text;
    cr_assert_eq(lab_eval_text_open(&text, place.ctx, folder.path, V, &source), PEER_OK);
    cr_expect_str_eq(text.name, "out");
    int64_t tokens = lm_corpus_tokens(text.data.valid) - 1;
    struct lab_eval_score s = score(&text, 0);
    cr_expect_eq(s.documents, 0);
    cr_expect_eq(s.result.tokens, tokens);
    expect_near(s.result.nats, log(V));
}

/* 7 words and 2 line ends in 22 bytes, of which detokenizing leaves 16. */
Test(eval_text, wikitext_by_hand)
{
    static const char wiki[] = " a @-@ b <unk> , c\n x\n";
    struct lab_eval_text text = open_text(LAB_FORM_WIKITEXT, "wiki.tokens", wiki);
    struct lab_eval_score s = score(&text, 0);
    expect_uniform(&s, 1, 22, 22);
    cr_expect_eq(s.words, 9);
    expect_near(log(s.word_perplexity), log(V) * 22 / 9);

    text = open_text(LAB_FORM_DETOK, "wiki.tokens", wiki);
    s = score(&text, 0);
    expect_uniform(&s, 1, 16, 22);
    cr_expect_eq(s.words, 9);
    expect_near(log(s.word_perplexity), log(V) * 16 / 9);

    text = open_text(LAB_FORM_DETOK, "wiki.tokens", wiki);
    s = score(&text, 8);
    expect_uniform(&s, 1, 8, 11);
}

/* Last words, with their spaces, of 4, 3 and 6 bytes; the second passage loses its line feed. */
Test(eval_text, lambada_by_hand)
{
    static const char lines[] = "{\"text\": \"a cat\"}\n{\"text\": \"no no\\n\"}\n"
                                "{\"text\": \"a  longer p\\u00e9ch\\u00e9\"}\n";
    struct lab_eval_text text = open_text(LAB_FORM_LAMBADA, "lambada", lines);
    const int32_t tails[] = {4, 3, 8};
    cr_expect_arr_eq(text.tails, tails, sizeof tails);
    struct lab_eval_score s = score(&text, 0);
    expect_uniform(&s, 3, 27, 27);
    cr_expect_eq(s.longer, 1);
    cr_expect_eq(s.passages, 3);
    expect_near(log(s.last_perplexity), log(V) * 5);
    cr_expect_eq(s.last_accuracy, 0, "no last word is of byte 0, the first of equals");
    text = open_text(LAB_FORM_LAMBADA, "lambada", lines);
    s = score(&text, 26);
    cr_expect_eq(s.passages, 2);
    expect_near(log(s.last_perplexity), log(V) * 3.5);
}

/* The tokens of a last word stand for just its bytes and the space's. */
Test(eval_text, last_words_begin_a_token)
{
    struct data_job job;
    char line[600] = "{\"text\": \"a ", word[400];
    memset(word, 'w', 300);
    strcpy(word + 300, "\"}\n{\"text\": \"The cat sat on the mat.\"}\n");
    strcat(line, word);
    strcat(line, "{\"text\": \"the  \\u2581at\\t\"}\n{\"text\": \"The dog\\u00e9\\tat\"}\n");
    struct tempfile file = data_text(&place, "lambada", line);
    data_job_make(&job, &place, "in.txt");
    job.out = tempdir_file(&place.dir, "pieces");
    job.options.out = job.out.path;
    job.options.vocab = 290;
    data_job_run(&job, &place);
    struct lab_text_source source = {.form = LAB_FORM_LAMBADA, .path = file.path};
    struct lab_eval_text text;
    cr_assert_eq(lab_eval_text_open(&text, place.ctx, job.out.path, 290, &source), PEER_OK, "%s",
                 peer_ctx_error(place.ctx));
    static const int64_t bytes[] = {301, 5, 6, 9};
    int64_t at = 0;
    for (int i = 0; i < 4; i++, at++) {
        int64_t sum = 0, first = 0;
        while (lm_corpus_id(text.own, at) != text.end)
            at++;
        for (int32_t t = 1; t <= text.tails[i]; t++) {
            int64_t more;
            const char *piece =
                lm_vocabulary_text(text.data.vocabulary, lm_corpus_id(text.own, at - t), &more);
            sum += more;
            first = more ? *piece : 0;
        }
        cr_expect_eq(sum, bytes[i], "%lld bytes of passage %d", (long long)sum, i);
        cr_expect_eq(first, ' ');
    }
    cr_expect_lt(text.tails[1], 5, "pieces of more than a byte");
    lab_eval_text_close(&text);
}

static void expect_refused(enum lab_form form, const char *path, int64_t vocab,
                           enum peer_status status, const char *says)
{
    struct lab_text_source source = {.form = form, .path = path, .strict = true};
    struct lab_eval_text text;
    int entries = tempdir_count(&place.dir);
    cr_expect_eq(lab_eval_text_open(&text, place.ctx, folder.path, vocab, &source), status, "%s",
                 says);
    cr_expect(strstr(peer_ctx_error(place.ctx), says), "%s, expected %s", peer_ctx_error(place.ctx),
              says);
    lab_eval_text_close(&text);
    cr_expect_eq(tempdir_count(&place.dir), entries, "what is temporary is gone");
}

Test(eval_text, refusals_name_file_and_line)
{
    setenv("TMPDIR", place.dir.path, 1);
    static const struct {
        enum lab_form form;
        enum peer_status status;
        const char *text, *says;
    } cases[] = {
        {LAB_FORM_LAMBADA, PEER_ERR_FORMAT, "{\"text\": \"a b\"}\n\n{\"text\": \"word \"}\n",
         "text:3: a passage of 4 bytes has no last word"},
        {LAB_FORM_LAMBADA, PEER_ERR_FORMAT, "{\"text\": \"a b\"}\n{\"text\": \"\"}\n",
         "text:2: a passage of 0 bytes"},
        {LAB_FORM_LAMBADA, PEER_ERR_FORMAT, "{\"text\": \"a b\"}\n{not JSON\n", "text:2: not JSON"},
        {LAB_FORM_JSON, PEER_ERR_FORMAT, "{\"txt\": \"a b\"}\n", "text:1: no string in a field"},
        {LAB_FORM_LAMBADA, PEER_ERR_ARGUMENT, "\n", "text: there is no text in the input"},
        {LAB_FORM_DETOK, PEER_ERR_ARGUMENT, "", "text: there is no text in the input"},
        {LAB_FORM_PLAIN, PEER_ERR_ARGUMENT, "", "text: there is no text in the input"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tempfile file = data_text(&place, "text", cases[i].text);
        expect_refused(cases[i].form, file.path, V, cases[i].status, cases[i].says);
    }
    expect_refused(LAB_FORM_WIKITEXT, "nowhere.raw", V, PEER_ERR_IO, "nowhere.raw: cannot open");
    expect_refused(LAB_FORM_PLAIN, "nowhere.txt", V, PEER_ERR_IO, "nowhere.txt: cannot open");
    expect_refused(LAB_FORM_HELD_OUT, NULL, 300, PEER_ERR_ARGUMENT, "the model's is 300");
}

/* Passages of one word have no last word to score apart. */
Test(eval_text, passages_of_one_word_are_left_out)
{
    struct tempfile file = data_text(&place, "passages",
                                     "{\"text\": \"one\"}\n{\"text\": \"a bb\"}\n"
                                     "{\"text\": null}\n{\"text\": \"\"}\n{\"text\": \"a c\"}\n");
    struct lab_text_source source = {.form = LAB_FORM_LAMBADA, .path = file.path};
    struct lab_eval_text text;
    cr_assert_eq(lab_eval_text_open(&text, place.ctx, folder.path, V, &source), PEER_OK, "%s",
                 peer_ctx_error(place.ctx));
    cr_expect_eq(text.notes.skipped, 3);
    cr_expect(strstr(text.notes.first, "passages:1: a passage of 3 bytes has no last word"), "%s",
              text.notes.first);
    cr_expect_eq(text.counts.written, 7);
    cr_expect_eq(text.counts.last_words.count, 2 * (int64_t)sizeof(int32_t));
    lab_eval_text_close(&text);
    file = data_text(&place, "passages", "{\"text\": \"one\"}\n");
    source.path = file.path;
    cr_expect_eq(lab_eval_text_open(&text, place.ctx, folder.path, V, &source), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(place.ctx), "no passage"), "%s", peer_ctx_error(place.ctx));
    lab_eval_text_close(&text);
}

Test(eval_text, a_file_cut_short_is_refused)
{
    char packed[1000];
    struct tempfile file = tempdir_file(&place.dir, "cut.zst");
    size_t size = ZSTD_compress(packed, sizeof packed, training, sizeof training - 1, 3);
    cr_assert(!ZSTD_isError(size));
    tempfile_write(&file, packed, size - 9);
    for (int form = LAB_FORM_PLAIN; form < LAB_FORM_COUNT; form++)
        expect_refused((enum lab_form)form, file.path, V, PEER_ERR_FORMAT, "cut.zst: zstd data");
}

/* Columns without a value in any row are left out; NaN is null, an empty cell, a dash. */
Test(eval_text, rows_for_people_and_programs)
{
    struct lab_eval_score none = {.result = {.tokens = 10,
                                             .nats = 2,
                                             .nats_error = 0.25,
                                             .perplexity = exp(2),
                                             .bits_per_byte = NAN},
                                  .word_perplexity = NAN,
                                  .last_perplexity = NAN,
                                  .last_accuracy = NAN};
    struct lab_eval_score last = none;
    last.result.bytes = 20;
    last.result.bits_per_byte = 1 / log(2);
    last.documents = 4;
    last.longer = 1;
    last.passages = 3;
    last.last_perplexity = 12.5;
    last.last_nats_error = 0.5;
    last.last_accuracy = 2. / 3;
    const struct lab_eval_row list[] = {{"runs/a", "held", LAB_FORM_HELD_OUT, none},
                                        {"runs/a", "p, q", LAB_FORM_LAMBADA, last}};
    struct lab_eval_rows rows = {list, 2, 128};
    struct tempfile table = tempdir_file(&place.dir, "table"),
                    json = tempdir_file(&place.dir, "json"), csv = tempdir_file(&place.dir, "csv");
    FILE *file = fopen(table.path, "w");
    lab_eval_rows_print(file, &rows);
    fclose(file);
    file = fopen(json.path, "w");
    cr_assert_eq(lab_eval_rows_json(place.ctx, file, &rows), PEER_OK);
    fclose(file);
    file = fopen(csv.path, "w");
    cr_assert_eq(lab_eval_rows_csv(place.ctx, file, &rows), PEER_OK);
    fclose(file);
    size_t size;
    char *text = tempfile_read(&table, &size);
    cr_expect(memmem(text, size, " 2.0000 +- 0.2500 ", 18), "%s", text);
    cr_expect(memmem(text, size, "66.67 %", 7) && memmem(text, size, "1 of 4 passages", 15));
    cr_expect(!memmem(text, size, "per word", 8) && !memmem(text, size, "model", 5));
    free(text);
    file = fopen(table.path, "w");
    lab_eval_rows_markdown(file, &rows);
    fclose(file);
    text = tempfile_read(&table, &size);
    static const char markdown[] =
        "| text | form | tokens | bytes | nats/token | perplexity | bits/byte | last word | right "
        "|\n"
        "|---|---|---:|---:|---:|---:|---:|---:|---:|\n"
        "| held | held-out | 10 | - | 2.0000 +- 0.2500 | 7.389 +- 1.847 | - | - | - |\n";
    cr_expect(size > sizeof markdown && !memcmp(text, markdown, sizeof markdown - 1), "%s", text);
    free(text);
    text = tempfile_read(&json, &size);
    cr_expect(memmem(text, size, "\"bits_per_byte\": null", 21));
    cr_expect(memmem(text, size, "\"last_word_accuracy\": 0.66666666666666663", 41));
    cr_expect(memmem(text, size, "\"length\": 128", 13));
    free(text);
    text = tempfile_read(&csv, &size);
    static const char expected[] =
        "model,text,form,documents,longer,tokens,bytes,nats,perplexity,bits_per_byte,words,"
        "word_perplexity,passages,last_word_perplexity,last_word_accuracy,nats_error,"
        "perplexity_error,bits_per_byte_error,word_perplexity_error,last_word_perplexity_error,"
        "last_word_accuracy_error\n"
        "runs/a,held,held-out,,,10,,2,7.389056099,,,,,,,0.25,1.847264025,,,,\n"
        "runs/a,\"p, q\",lambada,4,1,10,20,2,7.389056099,1.442695041,,,3,12.5,0.6666666667,"
        "0.25,1.847264025,0.1803368801,,6.25,0.3333333333\n";
    cr_expect(size == sizeof expected - 1 && memcmp(text, expected, size) == 0, "%.*s", (int)size,
              text);
    free(text);
}
