/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/data.h"
#include "experiments/data_describe.h"
#include "experiments/data_tokenizer.h"
#include "experiments/data_words.h"
#include "experiments/synthetic.h"
#include "experiments/text_buffer.h"
#include "lm/dataset.h"
#include "nn/random.h"
#include "tests/support/tempdir.h"

static struct tempdir dir;
static struct peer_ctx *ctx;
static const struct lab_work work = {.show = false};

static void setup(void)
{
    dir = tempdir_create();
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void teardown(void)
{
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(prepare, .init = setup, .fini = teardown);

static struct tempfile write_text(const char *name, const char *text)
{
    struct tempfile file = tempdir_file(&dir, name);
    tempfile_write(&file, text, strlen(text));
    return file;
}

/* Options for one input, as bytes. */
struct job {
    struct lab_data_options options;
    struct tempfile in, out;
    const char *inputs[1];
};

static void make_job(struct job *job, const char *input)
{
    *job = (struct job){.options = lab_data_options_default()};
    job->in = tempdir_file(&dir, input);
    job->out = tempdir_file(&dir, "out");
    job->inputs[0] = job->in.path;
    job->options.inputs = job->inputs;
    job->options.input_count = 1;
    job->options.out = job->out.path;
    job->options.vocab = 0;
}

static struct lab_data_report run(const struct job *job)
{
    struct lab_data_report report;
    cr_assert_eq(lab_data_prepare(&report, ctx, &job->options, &work), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return report;
}

/* Fails with this status and text, and leaves `entries` entries in the test's folder. */
static void refused(const struct job *job, enum peer_status status, const char *says, int entries)
{
    struct lab_data_report report;
    cr_expect_eq(lab_data_prepare(&report, ctx, &job->options, &work), status, "%s",
                 peer_ctx_error(ctx));
    cr_expect(strstr(peer_ctx_error(ctx), says), "%s", peer_ctx_error(ctx));
    cr_expect_eq(tempdir_count(&dir), entries, "%d entries", tempdir_count(&dir));
}

/* The text that a split's tokens stand for, 0xff where a document ends. */
static struct lab_buffer decode(const char *folder, int split)
{
    struct lm_dataset dataset;
    struct lab_buffer text = lab_buffer_create(ctx);
    cr_assert_eq(lm_dataset_open(&dataset, ctx, folder, 0), PEER_OK, "%s", peer_ctx_error(ctx));
    const struct lm_corpus *corpus = split ? dataset.valid : dataset.train;
    for (int64_t i = 0; corpus && i < lm_corpus_tokens(corpus); i++) {
        int64_t bytes;
        const char *piece =
            lm_vocabulary_text(dataset.vocabulary, lm_corpus_ids(corpus)[i], &bytes);
        lab_buffer_add(&text, bytes ? piece : "\xff", bytes ? bytes : 1);
    }
    lm_dataset_close(&dataset);
    return text;
}

/* Documents of random words over a small alphabet, with what is awkward strewn in. */
static struct lab_buffer awkward_text(uint64_t seed, int documents)
{
    static const char *const awkward[] = {
        "\t",           "\n",           "\n\n",   "  ",       "\r\n",
        "\xe2\x96\x81", "\xe2\x96\x85", "<0x41>", "</s>",     "\xf0\x9f\x98\x80",
        "\xc3\xa9",     "\x01",         "\x7f",   "\xc2\xa0", " "};
    struct lab_buffer text = lab_buffer_create(ctx);
    for (int i = 0; i < documents; i++) {
        int words = 1 + (int)peer_random_below(seed, 1, (uint64_t)i, 300);
        for (int k = 0; k < words; k++) {
            uint32_t bits = peer_random_bits(seed, 2 + (uint64_t)i, (uint64_t)k);
            char letters[8];
            int length = 1 + (int)(bits % 4);
            for (int j = 0; j < length; j++)
                letters[j] = (char)('a' + (bits >> (4 + 3 * j)) % 6);
            lab_buffer_add(&text, letters, length);
            const char *gap = (bits >> 24) % 8 ? " " : awkward[(bits >> 27) % 15];
            lab_buffer_add_text(&text, gap);
        }
        lab_buffer_add(&text, "\xff", 1);
    }
    return text;
}

/* Writes documents as JSON lines, by hand. */
static void write_documents(const char *name, const struct lab_buffer *text)
{
    struct tempfile path = tempdir_file(&dir, name);
    FILE *file = fopen(path.path, "wb");
    bool start = true;
    for (int64_t i = 0; i < text->count; i++) {
        uint8_t byte = text->bytes[i];
        if (start)
            fputs("{\"text\":\"", file);
        start = byte == 0xff;
        if (start)
            fputs("\"}\n", file);
        else if (byte < ' ' || byte == '"' || byte == '\\')
            fprintf(file, "\\u%04x", byte);
        else
            fputc(byte, file);
    }
    fclose(file);
}

/* Expects the two splits, put together again by document, to be the text. */
static void expect_round_trip(const char *folder, const struct lab_buffer *text)
{
    struct lab_buffer parts[LAB_SPLITS];
    int64_t at[LAB_SPLITS] = {0, 0}, documents = 0;
    for (int i = 0; i < LAB_SPLITS; i++)
        parts[i] = decode(folder, i);
    cr_expect_eq(parts[0].count + parts[1].count, text->count);
    for (int64_t from = 0; from < text->count; documents++) {
        int64_t size =
            (const uint8_t *)memchr(text->bytes + from, 0xff, (size_t)(text->count - from)) -
            (text->bytes + from) + 1;
        int split = 0;
        while (split < LAB_SPLITS &&
               (at[split] + size > parts[split].count ||
                memcmp(parts[split].bytes + at[split], text->bytes + from, (size_t)size) != 0))
            split++;
        cr_assert_lt(split, LAB_SPLITS, "document %lld is in no split", (long long)documents);
        at[split] += size;
        from += size;
    }
    for (int i = 0; i < LAB_SPLITS; i++)
        lab_buffer_free(&parts[i]);
}

Test(prepare, bytes_give_the_text_back)
{
    struct lab_buffer text = awkward_text(31, 40);
    struct job job;
    write_documents("in.jsonl", &text);
    make_job(&job, "in.jsonl");
    job.options.valid_share = 0.2;
    struct lab_data_report report = run(&job);
    cr_expect_eq(report.vocab, 257);
    cr_expect_eq(report.split[0].documents + report.split[1].documents, 40);
    cr_expect_eq(report.split[0].tokens, report.split[0].bytes + report.split[0].documents);
    cr_expect_eq(report.split[0].bytes + report.split[1].bytes, text.count - 40);
    expect_round_trip(job.out.path, &text);
    cr_expect_eq(tempdir_count(&dir), 2);
    lab_buffer_free(&text);
}

Test(prepare, sentencepiece_gives_the_text_back)
{
    static const char *const models[] = {"bpe", "unigram"};
    struct lab_buffer text = awkward_text(32, 60);
    struct job job;
    write_documents("in.jsonl", &text);
    for (int i = 0; i < 2; i++) {
        make_job(&job, "in.jsonl");
        job.options.vocab = 300;
        job.options.model = models[i];
        job.options.force = i > 0;
        struct lab_data_report report = run(&job);
        cr_expect_eq(report.vocab, 300);
        cr_expect_eq(report.split[0].bytes + report.split[1].bytes, text.count - 60);
        cr_expect_lt(report.split[0].tokens, report.split[0].bytes);
        expect_round_trip(job.out.path, &text);
        cr_expect_eq(tempdir_count(&dir), 2);
        struct tempdir out = dir;
        strncat(out.path, "/out", sizeof out.path - strlen(out.path) - 1);
        cr_expect_eq(tempdir_count(&out), 5);
    }
    lab_buffer_free(&text);
}

/* Word by word gives the tokens that spm_encode gives to whole lines. */
Test(prepare, tokens_are_those_of_whole_lines)
{
    struct lab_buffer text = lab_buffer_create(ctx);
    struct job job;
    for (uint64_t i = 0; i < 3000; i++) {
        char word[32];
        uint32_t bits = peer_random_bits(9, 9, i);
        snprintf(word, sizeof word, "%s%x%s", bits % 7 ? "" : "(", bits % 5000,
                 bits % 11 == 0   ? ".\n"
                 : bits % 13 == 0 ? "  "
                                  : " ");
        lab_buffer_add_text(&text, word);
    }
    struct tempfile lines = tempdir_file(&dir, "in.txt");
    tempfile_write(&lines, text.bytes, (size_t)text.count);
    make_job(&job, "in.txt");
    job.options.vocab = 400;
    job.options.valid_share = 0;
    run(&job);
    char command[1024];
    snprintf(command, sizeof command,
             "spm_encode --model=%s/tokenizer.model --output_format=id < %s", job.out.path,
             lines.path);
    FILE *pipe = popen(command, "r");
    struct lm_dataset dataset;
    cr_assert_eq(lm_dataset_open(&dataset, ctx, job.out.path, 0), PEER_OK);
    const uint16_t *ids = lm_corpus_ids(dataset.train);
    int64_t count = lm_corpus_tokens(dataset.train), at = 0;
    for (int id, end; fscanf(pipe, "%d", &id) == 1 && at < count; at++) {
        cr_assert_eq(ids[at], id, "token %lld: %d, expected %d", (long long)at, ids[at], id);
        if ((end = fgetc(pipe)) == '\n' && at + 1 < count && ids[at + 1] == LAB_TOKEN_BYTES + '\n')
            at++;
    }
    cr_expect_eq(at, count - 1, "%lld of %lld", (long long)at, (long long)count);
    cr_expect_eq(ids[count - 1], LAB_TOKEN_END);
    pclose(pipe);
    lm_dataset_close(&dataset);
    lab_buffer_free(&text);
}

Test(prepare, equal_input_gives_equal_tokens)
{
    struct lab_buffer text = awkward_text(33, 50);
    struct job job;
    uint32_t crc[LAB_SPLITS] = {0, 0};
    write_documents("in.jsonl", &text);
    for (int i = 0; i < 3; i++) {
        make_job(&job, "in.jsonl");
        job.options.vocab = 320;
        job.options.force = i > 0;
        job.options.seed = i < 2 ? 5 : 6;
        struct lab_data_report report = run(&job);
        for (int k = 0; k < LAB_SPLITS; k++) {
            if (i == 1)
                cr_expect_eq(report.split[k].crc, crc[k]);
            else if (i == 2)
                cr_expect_neq(report.split[k].crc, crc[k]);
            crc[k] = report.split[k].crc;
        }
    }
    lab_buffer_free(&text);
}

/* A tokenizer made before gives its ids to other text. */
Test(prepare, a_tokenizer_is_used_again)
{
    struct lab_buffer text = awkward_text(34, 50), other = awkward_text(35, 20);
    struct job first, second;
    write_documents("in.jsonl", &text);
    write_documents("other.jsonl", &other);
    make_job(&first, "in.jsonl");
    first.options.vocab = 310;
    run(&first);
    make_job(&second, "other.jsonl");
    second.out = tempdir_file(&dir, "second");
    second.options.out = second.out.path;
    second.options.vocab = 4096;
    second.options.tokenizer = first.out.path;
    struct lab_data_report report = run(&second);
    cr_expect_eq(report.vocab, 310);
    cr_expect_str_eq(report.tokenizer, "sentencepiece");
    expect_round_trip(second.out.path, &other);
    struct tempfile a = tempdir_file(&dir, "out/tokenizer.model"),
                    b = tempdir_file(&dir, "second/tokenizer.model");
    size_t size_a, size_b;
    char *bytes_a = tempfile_read(&a, &size_a), *bytes_b = tempfile_read(&b, &size_b);
    cr_expect(size_a == size_b && memcmp(bytes_a, bytes_b, size_a) == 0);
    free(bytes_a);
    free(bytes_b);
    lab_buffer_free(&text);
    lab_buffer_free(&other);
}

/* Over many seeds, any number of documents from 2 on leaves one in each split at least, and the
 * share is met on average: with 500 documents and share 0.1, 30 seeds hold out 1500 of 15000, of
 * which the standard deviation is 37. */
Test(prepare, every_split_has_a_document)
{
    static const int sizes[] = {2, 3, 7, 500};
    for (size_t k = 0; k < 4; k++) {
        int64_t held_out = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct tempfile path = tempdir_file(&dir, "spool");
            struct lab_spool spool;
            struct lab_spool_cursor cursor = {0};
            struct lab_slice slice;
            int64_t documents[LAB_SPLITS] = {0, 0};
            cr_assert_eq(lab_spool_create(&spool, ctx, path.path), PEER_OK);
            for (int i = 0; i < sizes[k]; i++) {
                lab_spool_text(&spool, (const uint8_t *)"text", 1 + i % 4);
                lab_spool_end_document(&spool);
                lab_spool_end_document(&spool);
            }
            cr_expect_eq(spool.empty, sizes[k]);
            cr_assert_eq(lab_spool_split(&spool, 0.1, seed), PEER_OK);
            while (lab_spool_next(&spool, &cursor, &slice)) {
                cr_expect(slice.ends);
                documents[slice.split]++;
            }
            cr_expect_eq(documents[0] + documents[1], sizes[k]);
            cr_expect_gt(documents[0], 0);
            cr_expect_gt(documents[1], 0);
            held_out += documents[1];
            lab_spool_remove(&spool);
        }
        if (sizes[k] == 500)
            cr_expect(held_out > 1500 - 5 * 37 && held_out < 1500 + 5 * 37, "%lld",
                      (long long)held_out);
    }
}

/* One document is cut between paragraphs, a paragraph between lines; nothing is lost. */
Test(prepare, one_document_is_split_in_runs)
{
    static const char *const patterns[] = {"%d first line\nsecond line\n\n", "%d line\n"};
    static const enum lab_unit units[] = {LAB_UNIT_PARAGRAPH, LAB_UNIT_LINE};
    for (int k = 0; k < 2; k++) {
        char text[9000] = "";
        for (int i = 0; i < 300; i++)
            snprintf(text + strlen(text), 40, patterns[k], i);
        write_text("in.txt", text);
        struct job job;
        make_job(&job, "in.txt");
        job.options.force = k > 0;
        job.options.valid_share = 0.1;
        struct lab_data_report report = run(&job);
        cr_expect_eq(report.unit, units[k]);
        cr_expect_eq(report.split[0].bytes + report.split[1].bytes, (int64_t)strlen(text));
        cr_expect(report.split[1].bytes > (int64_t)strlen(text) / 40 &&
                      report.split[1].bytes < (int64_t)strlen(text) / 4,
                  "%lld", (long long)report.split[1].bytes);
        struct lab_buffer valid = decode(job.out.path, LAB_VALID);
        bool start = true;
        for (int64_t i = 0; i < valid.count; i++) {
            if (start)
                cr_expect(valid.bytes[i] >= '0' && valid.bytes[i] <= '9');
            start = valid.bytes[i] == 0xff;
        }
        lab_buffer_free(&valid);
    }
}

Test(prepare, a_given_text_is_held_out)
{
    struct job job;
    struct tempfile valid = write_text("valid.txt", "held out");
    const char *valids[] = {valid.path};
    write_text("in.txt", "trained");
    make_job(&job, "in.txt");
    job.options.valid = valids;
    job.options.valid_count = 1;
    run(&job);
    struct lab_buffer text = decode(job.out.path, LAB_VALID);
    cr_expect(text.count == 9 && memcmp(text.bytes, "held out\xff", 9) == 0);
    lab_buffer_free(&text);
    text = decode(job.out.path, LAB_TRAIN);
    cr_expect(text.count == 8 && memcmp(text.bytes, "trained\xff", 8) == 0);
    lab_buffer_free(&text);
    make_job(&job, "in.txt");
    write_text("valid.txt", "");
    job.options.force = true;
    job.options.valid = valids;
    job.options.valid_count = 1;
    refused(&job, PEER_ERR_ARGUMENT, "no text in the --valid file", 3);
}

/* Words longer than the table's limit, longer than a slice, and more words than the table holds at
 * once, in slices and ranges of any kind. */
Test(prepare, long_words_and_slices_lose_nothing)
{
    enum { SIZE = 3 * LAB_SLICE_BYTES + 77 };
    struct lab_buffer text = lab_buffer_create(ctx);
    struct job job;
    for (int64_t i = 0; text.count < SIZE; i++) {
        uint32_t bits = peer_random_bits(8, 8, (uint64_t)i);
        if (i < LAB_SLICE_BYTES)
            lab_buffer_add(&text, bits % 5 ? "\xc3\xa9" : "\xf0\x9f\x98\x80", bits % 5 ? 2 : 4);
        else
            lab_buffer_add(&text, bits % 4 ? "ab" : "c \n", bits % 4 ? 2 : 3);
    }
    struct tempfile in = tempdir_file(&dir, "in.txt");
    tempfile_write(&in, text.bytes, (size_t)text.count);
    lab_buffer_add(&text, "\xff", 1);
    make_job(&job, "in.txt");
    job.options.vocab = 280;
    job.options.valid_share = 0;
    run(&job);
    struct lab_buffer got = decode(job.out.path, LAB_TRAIN);
    cr_expect_eq(got.count, text.count);
    cr_expect(memcmp(got.bytes, text.bytes, (size_t)text.count) == 0);
    lab_buffer_free(&got);
    lab_buffer_free(&text);
}

Test(prepare, text_that_does_not_do_is_refused)
{
    static const struct {
        const char *text;
        int64_t vocab;
        const char *says;
    } cases[] = {
        {"", 0, "there is no text in the input"},
        {"one line", 0, "no part of it can be held out"},
        {"some words\n\nand some more\n\nand more\n", 4000,
         "larger than this text allows: use "
         "--vocab 2"},
        {"abcdefghij\n\nklmnopqrst\n\nuvwxyz\n", 262, "too small for this text"},
        {"\n\n\t\n\n\n\n", 300, "has no words to make a vocabulary of"},
        {"one line", 100, "the vocabulary is 100, expected 260 ... 65536"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job job;
        write_text("in.txt", cases[i].text);
        make_job(&job, "in.txt");
        job.options.vocab = cases[i].vocab;
        refused(&job, PEER_ERR_ARGUMENT, cases[i].says, 1);
    }
    struct job job;
    write_text("in.txt", "");
    make_job(&job, "in.txt");
    job.options.valid_share = 0;
    refused(&job, PEER_ERR_ARGUMENT, "there is no text", 1);
    write_text("in.txt", "a\n\x01");
    job.options.vocab = 300;
    struct lab_data_report report;
    cr_expect_neq(lab_data_prepare(&report, ctx, &job.options, &work), PEER_OK);
    cr_expect_eq(tempdir_count(&dir), 1);
}

/* The numbers in the messages are right: the vocabulary they name works. */
Test(prepare, the_vocabulary_suggested_works)
{
    struct lab_data_report report;
    struct job job;
    write_text("in.txt", "some words of text\n\nand some more words\n\nand more text\n");
    make_job(&job, "in.txt");
    job.options.vocab = 60000;
    cr_assert_eq(lab_data_prepare(&report, ctx, &job.options, &work), PEER_ERR_ARGUMENT);
    long long suggested = 0;
    const char *at = strstr(peer_ctx_error(ctx), "--vocab ");
    cr_assert(at && sscanf(at, "--vocab %lld", &suggested) == 1);
    job.options.vocab = suggested;
    cr_expect_eq(run(&job).vocab, suggested);
}

Test(prepare, an_existing_folder_is_replaced_only_when_asked)
{
    struct job job;
    write_text("in.txt", "one\n\ntwo\n\nthree");
    make_job(&job, "in.txt");
    struct tempfile mine = tempdir_file(&dir, "out/mine");
    cr_assert_eq(mkdir(job.out.path, 0700), 0);
    tempfile_write(&mine, "x", 1);
    job.options.force = true;
    refused(&job, PEER_ERR_ARGUMENT, "was not made by this command", 2);
    cr_assert_eq(unlink(mine.path), 0);
    job.options.force = false;
    run(&job);
    refused(&job, PEER_ERR_ARGUMENT, "--force replaces it", 2);
    write_text("in.txt", "other\n\ntexts\n\n");
    job.options.force = true;
    run(&job);
    struct lab_buffer text = decode(job.out.path, LAB_TRAIN);
    cr_expect(memmem(text.bytes, (size_t)text.count, "o", 1) ||
              memmem(text.bytes, (size_t)text.count, "texts", 5));
    cr_expect_null(memmem(text.bytes, (size_t)text.count, "one", 3));
    lab_buffer_free(&text);
    cr_expect_eq(tempdir_count(&dir), 2);
}

/* A failure half-way leaves the old folder as it was, and nothing else. */
Test(prepare, failures_leave_the_old_folder)
{
    struct job job;
    write_text("in.txt", "one\n\ntwo\n\nthree");
    make_job(&job, "in.txt");
    uint32_t crc = run(&job).split[0].crc;
    struct tempfile bad = write_text("bad.jsonl", "{\"text\":\"x\"}\n{\"text\":");
    job.inputs[0] = bad.path;
    job.options.force = true;
    refused(&job, PEER_ERR_FORMAT, "bad.jsonl:2: not JSON", 3);
    struct lm_dataset dataset;
    cr_expect_eq(lm_dataset_open(&dataset, ctx, job.out.path, 0), PEER_OK);
    lm_dataset_close(&dataset);
    job.inputs[0] = job.in.path;
    cr_expect_eq(run(&job).split[0].crc, crc);
}

/* A disk that is full: files may not grow beyond a limit. */
Test(prepare, a_full_disk_leaves_nothing)
{
    static const rlim_t limits[] = {1, 5000, 30000, 60000, 100000};
    struct lab_buffer text = lab_buffer_create(ctx);
    struct job job;
    for (int i = 0; i < 4000; i++)
        lab_buffer_add_text(&text, i % 7 ? "some words " : "\n\n");
    struct tempfile in = tempdir_file(&dir, "in.txt");
    tempfile_write(&in, text.bytes, (size_t)text.count);
    lab_buffer_free(&text);
    signal(SIGXFSZ, SIG_IGN);
    make_job(&job, "in.txt");
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    int failures = 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit = {limits[i], old.rlim_max};
        struct lab_data_report report;
        job.options.force = true;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum peer_status status = lab_data_prepare(&report, ctx, &job.options, &work);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
        failures += status != PEER_OK;
        cr_expect(status == PEER_OK || status == PEER_ERR_IO, "%s", peer_ctx_error(ctx));
        if (status == PEER_ERR_IO)
            cr_expect(strstr(peer_ctx_error(ctx), "File too large"), "%s", peer_ctx_error(ctx));
        cr_expect_eq(tempdir_count(&dir), status == PEER_OK ? 2 : 1);
    }
    cr_expect_geq(failures, 4);
}

static bool stop_at_once(void *user)
{
    int *left = user;
    return --*left < 0;
}

/* A stop at any moment leaves nothing. */
Test(prepare, a_stop_leaves_nothing)
{
    struct lab_buffer text = awkward_text(36, 30);
    struct job job;
    write_documents("in.jsonl", &text);
    make_job(&job, "in.jsonl");
    job.options.vocab = 300;
    for (int after = 0;; after = 2 * after + 1) {
        int left = after;
        struct lab_work stopping = {.stopped = stop_at_once, .user = &left};
        struct lab_data_report report;
        enum peer_status status = lab_data_prepare(&report, ctx, &job.options, &stopping);
        if (status == PEER_OK) {
            cr_expect_gt(after, 60);
            break;
        }
        cr_expect_eq(status, PEER_ERR_STOPPED, "%s", peer_ctx_error(ctx));
        cr_expect_eq(tempdir_count(&dir), 1);
    }
    lab_buffer_free(&text);
}

Test(prepare, missing_programs_are_named)
{
    struct job job;
    write_text("in.txt", "one\n\ntwo\n\nthree");
    make_job(&job, "in.txt");
    job.options.vocab = 300;
    setenv("PATH", dir.path, 1);
    refused(&job, PEER_ERR_IO, "spm_train is missing; it comes with the package sentencepiece", 1);
}

/* What a killed process left is removed by the next one; what belongs to a living one is not. */
Test(prepare, leavings_of_killed_processes_go)
{
    char host[40] = "", name[128];
    gethostname(host, sizeof host - 1);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    int status;
    waitpid(gone, &status, 0);
    struct job job;
    write_text("in.txt", "one\n\ntwo\n\nthree");
    make_job(&job, "in.txt");
    const pid_t pids[] = {gone, getppid()};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "out.partial-%s-%ld", host, (long)pids[i]);
        struct tempfile left = tempdir_file(&dir, name);
        cr_assert_eq(mkdir(left.path, 0700), 0);
    }
    run(&job);
    cr_expect_eq(tempdir_count(&dir), 3);
}

/* Words that occur often stay when the table is thinned; counts of those that stayed throughout are
 * exact. */
Test(prepare, thinning_keeps_frequent_words)
{
    enum { CAPACITY = 256 };
    struct lab_words words;
    cr_assert_eq(lab_words_create(&words, ctx, CAPACITY), PEER_OK);
    for (uint64_t i = 0; i < 5000; i++) {
        char text[16];
        int64_t length =
            i % 3 ? snprintf(text, sizeof text, "rare%llu", (unsigned long long)i)
                  : snprintf(text, sizeof text, "often%llu", (unsigned long long)(i / 3 % 5));
        if (!lab_words_have_room(&words, length))
            lab_words_thin(&words);
        words.word[lab_words_find(&words, (const uint8_t *)text, length)].count++;
    }
    lab_words_sort(&words);
    cr_expect_gt(words.dropped, 1000);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(words.word[i].count, i < 2 ? 334 : 333, "%d: %llu", i,
                     (unsigned long long)words.word[i].count);
        cr_expect(memcmp(words.bytes + words.word[i].at, "often", 5) == 0);
    }
    lab_words_free(&words);
}

/* Equal seeds give equal text, others other text; it is at least as long as asked for. */
Test(prepare, synthetic_text_is_a_function_of_its_seed)
{
    char *texts[3];
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%d", i);
        struct tempfile out = tempdir_file(&dir, name);
        struct lab_synthetic_options options = {
            .out = out.path, .bytes = 50000, .seed = i < 2 ? 7 : 8};
        struct lab_synthetic_report report;
        cr_assert_eq(lab_synthetic_make(&report, ctx, &options, &work), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_expect(report.bytes >= 50000 && report.bytes < 60000);
        cr_expect(report.bits / (double)report.bytes > 0.3 &&
                  report.bits / (double)report.bytes < 1);
        snprintf(name, sizeof name, "s%d/synthetic.jsonl", i);
        struct tempfile file = tempdir_file(&dir, name);
        texts[i] = tempfile_read(&file, &sizes[i]);
    }
    cr_expect(sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0);
    cr_expect(sizes[0] != sizes[2] || memcmp(texts[0], texts[2], sizes[0]) != 0);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

/* The whole way, as without network: synthetic text, tokens, and what info says of them. */
Test(prepare, synthetic_text_becomes_tokens)
{
    struct tempfile made = tempdir_file(&dir, "made");
    struct lab_synthetic_options options = {.out = made.path, .bytes = 200000, .seed = 1};
    struct lab_synthetic_report report;
    cr_assert_eq(lab_synthetic_make(&report, ctx, &options, &work), PEER_OK);
    struct job job;
    make_job(&job, "made");
    job.options.vocab = 512;
    struct lab_data_report data = run(&job);
    cr_expect_eq(data.split[0].documents + data.split[1].documents, report.documents);
    cr_expect_eq(data.split[0].bytes + data.split[1].bytes, report.bytes);
    char *said = NULL;
    size_t size;
    FILE *file = open_memstream(&said, &size);
    cr_expect_eq(lab_data_info(ctx, job.out.path, file), PEER_OK);
    fclose(file);
    cr_expect(strstr(said, "sentencepiece, vocabulary 512"), "%s", said);
    free(said);
    struct tempfile bin = tempdir_file(&dir, "out/valid.bin");
    cr_assert_eq(truncate(bin.path, 10), 0);
    file = fopen("/dev/null", "w");
    cr_expect_eq(lab_data_info(ctx, job.out.path, file), PEER_ERR_FORMAT);
    fclose(file);
}
