/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/data/data_describe.h"
#include "experiments/data/data_tokenizer.h"
#include "experiments/data/synthetic.h"
#include "lm/dataset.h"
#include "nn/random.h"
#include "tests/support/data_job.h"

static const struct lab_work work = {.show = false};
static struct data_place place;

static void setup(void)
{
    place = data_place_create();
}

static void teardown(void)
{
    data_place_remove(&place);
}

TestSuite(prepare, .init = setup, .fini = teardown);

Test(prepare, bytes_give_the_text_back)
{
    struct lab_buffer text = data_awkward_text(&place, 31, 40);
    struct data_job job;
    data_write_documents(&place, "in.jsonl", &text);
    data_job_make(&job, &place, "in.jsonl");
    job.options.valid_share = 0.2;
    struct lab_data_report report = data_job_run(&job, &place);
    cr_expect_eq(report.vocab, 257);
    cr_expect_eq(report.split[0].documents + report.split[1].documents, 40);
    cr_expect_eq(report.split[0].tokens, report.split[0].bytes + report.split[0].documents);
    cr_expect_eq(report.split[0].bytes + report.split[1].bytes, text.count - 40);
    data_expect_round_trip(&place, job.out.path, &text);
    cr_expect_eq(tempdir_count(&place.dir), 2);
    lab_buffer_free(&text);
}

Test(prepare, sentencepiece_gives_the_text_back)
{
    static const char *const models[] = {"bpe", "unigram"};
    struct lab_buffer text = data_awkward_text(&place, 32, 60);
    struct data_job job;
    data_write_documents(&place, "in.jsonl", &text);
    for (int i = 0; i < 2; i++) {
        data_job_make(&job, &place, "in.jsonl");
        job.options.vocab = 300;
        job.options.model = models[i];
        job.options.force = i > 0;
        struct lab_data_report report = data_job_run(&job, &place);
        cr_expect_eq(report.vocab, 300);
        cr_expect_eq(report.split[0].bytes + report.split[1].bytes, text.count - 60);
        cr_expect_lt(report.split[0].tokens, report.split[0].bytes);
        data_expect_round_trip(&place, job.out.path, &text);
        cr_expect_eq(tempdir_count(&place.dir), 2);
        struct tempdir out = place.dir;
        strncat(out.path, "/out", sizeof out.path - strlen(out.path) - 1);
        cr_expect_eq(tempdir_count(&out), 5);
    }
    lab_buffer_free(&text);
}

/* Word by word gives the tokens that spm_encode gives to whole lines. */
Test(prepare, tokens_are_those_of_whole_lines)
{
    struct lab_buffer text = lab_buffer_create(place.ctx);
    struct data_job job;
    for (uint64_t i = 0; i < 3000; i++) {
        char word[32];
        uint32_t bits = peer_random_bits(9, 9, i);
        snprintf(word, sizeof word, "%s%x%s", bits % 7 ? "" : "(", bits % 5000,
                 bits % 11 == 0   ? ".\n"
                 : bits % 13 == 0 ? "  "
                                  : " ");
        lab_buffer_add_text(&text, word);
    }
    struct tempfile lines = tempdir_file(&place.dir, "in.txt");
    tempfile_write(&lines, text.bytes, (size_t)text.count);
    data_job_make(&job, &place, "in.txt");
    job.options.vocab = 400;
    job.options.valid_share = 0;
    data_job_run(&job, &place);
    char command[1024];
    snprintf(command, sizeof command,
             "spm_encode --model=%s/tokenizer.model --output_format=id < %s", job.out.path,
             lines.path);
    FILE *pipe = popen(command, "r");
    struct lm_dataset dataset;
    cr_assert_eq(lm_dataset_open(&dataset, place.ctx, job.out.path, 0, LM_DTYPE_AUTO), PEER_OK);
    int64_t count = lm_corpus_tokens(dataset.train), at = 0;
    int32_t *ids = malloc((size_t)count * sizeof *ids);
    lm_corpus_read(dataset.train, ids, 0, count);
    for (int id, end; fscanf(pipe, "%d", &id) == 1 && at < count; at++) {
        cr_assert_eq(ids[at], id, "token %lld: %d, expected %d", (long long)at, ids[at], id);
        if ((end = fgetc(pipe)) == '\n' && at + 1 < count && ids[at + 1] == LAB_TOKEN_BYTES + '\n')
            at++;
    }
    cr_expect_eq(at, count - 1, "%lld of %lld", (long long)at, (long long)count);
    cr_expect_eq(ids[count - 1], LAB_TOKEN_END);
    free(ids);
    pclose(pipe);
    lm_dataset_close(&dataset);
    lab_buffer_free(&text);
}

Test(prepare, equal_input_gives_equal_tokens)
{
    struct lab_buffer text = data_awkward_text(&place, 33, 50);
    struct data_job job;
    uint32_t crc[LAB_SPLITS] = {0, 0};
    data_write_documents(&place, "in.jsonl", &text);
    for (int i = 0; i < 3; i++) {
        data_job_make(&job, &place, "in.jsonl");
        job.options.vocab = 320;
        job.options.force = i > 0;
        job.options.seed = i < 2 ? 5 : 6;
        struct lab_data_report report = data_job_run(&job, &place);
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
    struct lab_buffer text = data_awkward_text(&place, 34, 50),
                      other = data_awkward_text(&place, 35, 20);
    struct data_job first, second;
    data_write_documents(&place, "in.jsonl", &text);
    data_write_documents(&place, "other.jsonl", &other);
    data_job_make(&first, &place, "in.jsonl");
    first.options.vocab = 310;
    data_job_run(&first, &place);
    data_job_make(&second, &place, "other.jsonl");
    second.out = tempdir_file(&place.dir, "second");
    second.options.out = second.out.path;
    second.options.vocab = 4096;
    second.options.tokenizer = first.out.path;
    struct lab_data_report report = data_job_run(&second, &place);
    cr_expect_eq(report.vocab, 310);
    cr_expect_str_eq(report.tokenizer, "sentencepiece");
    data_expect_round_trip(&place, second.out.path, &other);
    struct tempfile a = tempdir_file(&place.dir, "out/tokenizer.model"),
                    b = tempdir_file(&place.dir, "second/tokenizer.model");
    size_t size_a, size_b;
    char *bytes_a = tempfile_read(&a, &size_a), *bytes_b = tempfile_read(&b, &size_b);
    cr_expect(size_a == size_b && memcmp(bytes_a, bytes_b, size_a) == 0);
    free(bytes_a);
    free(bytes_b);
    lab_buffer_free(&text);
    lab_buffer_free(&other);
}

/* One document is cut between paragraphs, a paragraph between lines; nothing is lost. */
Test(prepare, one_document_is_split_in_runs)
{
    static const char *const ends[] = {"first line\nsecond line\n\n", "line\n"};
    static const enum lab_unit units[] = {LAB_UNIT_PARAGRAPH, LAB_UNIT_LINE};
    for (int k = 0; k < 2; k++) {
        char text[9000] = "";
        for (int i = 0; i < 300; i++)
            snprintf(text + strlen(text), 40, "%d %s", i, ends[k]);
        data_text(&place, "in.txt", text);
        struct data_job job;
        data_job_make(&job, &place, "in.txt");
        job.options.force = k > 0;
        job.options.valid_share = 0.1;
        struct lab_data_report report = data_job_run(&job, &place);
        cr_expect_eq(report.unit, units[k]);
        cr_expect_eq(report.split[0].bytes + report.split[1].bytes, (int64_t)strlen(text));
        cr_expect(report.split[1].bytes > (int64_t)strlen(text) / 40 &&
                      report.split[1].bytes < (int64_t)strlen(text) / 4,
                  "%lld", (long long)report.split[1].bytes);
        struct lab_buffer valid = data_decode(&place, job.out.path, LAB_VALID);
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
    struct data_job job;
    struct tempfile valid = data_text(&place, "valid.txt", "held out");
    const char *valids[] = {valid.path};
    data_text(&place, "in.txt", "trained");
    data_job_make(&job, &place, "in.txt");
    job.options.valid = valids;
    job.options.valid_count = 1;
    data_job_run(&job, &place);
    struct lab_buffer text = data_decode(&place, job.out.path, LAB_VALID);
    cr_expect(text.count == 9 && memcmp(text.bytes, "held out\xff", 9) == 0);
    lab_buffer_free(&text);
    text = data_decode(&place, job.out.path, LAB_TRAIN);
    cr_expect(text.count == 8 && memcmp(text.bytes, "trained\xff", 8) == 0);
    lab_buffer_free(&text);
    data_job_make(&job, &place, "in.txt");
    data_text(&place, "valid.txt", "");
    job.options.force = true;
    job.options.valid = valids;
    job.options.valid_count = 1;
    data_job_refused(&job, &place, PEER_ERR_ARGUMENT, "no text in the --valid file", 3);
}

/* Words longer than the table's limit, longer than a slice, and more words than the table holds at
 * once, in slices and ranges of any kind. */
Test(prepare, long_words_and_slices_lose_nothing)
{
    enum { SIZE = 3 * LAB_SLICE_BYTES + 77 };
    struct lab_buffer text = lab_buffer_create(place.ctx);
    struct data_job job;
    for (int64_t i = 0; text.count < SIZE; i++) {
        uint32_t bits = peer_random_bits(8, 8, (uint64_t)i);
        if (i < LAB_SLICE_BYTES)
            lab_buffer_add(&text, bits % 5 ? "\xc3\xa9" : "\xf0\x9f\x98\x80", bits % 5 ? 2 : 4);
        else
            lab_buffer_add(&text, bits % 4 ? "ab" : "c \n", bits % 4 ? 2 : 3);
    }
    struct tempfile in = tempdir_file(&place.dir, "in.txt");
    tempfile_write(&in, text.bytes, (size_t)text.count);
    lab_buffer_add(&text, "\xff", 1);
    data_job_make(&job, &place, "in.txt");
    job.options.vocab = 280;
    job.options.valid_share = 0;
    data_job_run(&job, &place);
    struct lab_buffer got = data_decode(&place, job.out.path, LAB_TRAIN);
    cr_expect_eq(got.count, text.count);
    cr_expect(memcmp(got.bytes, text.bytes, (size_t)text.count) == 0);
    lab_buffer_free(&got);
    lab_buffer_free(&text);
}

/* The whole way, as without network: synthetic text, tokens, and what info says of them. */
Test(prepare, synthetic_text_becomes_tokens)
{
    struct tempfile made = tempdir_file(&place.dir, "made");
    struct lab_synthetic_options options = {.out = made.path, .bytes = 200000, .seed = 1};
    struct lab_synthetic_report report;
    cr_assert_eq(lab_synthetic_make(&report, place.ctx, &options, &work), PEER_OK);
    struct data_job job;
    data_job_make(&job, &place, "made");
    job.options.vocab = 512;
    struct lab_data_report data = data_job_run(&job, &place);
    cr_expect_eq(data.split[0].documents + data.split[1].documents, report.documents);
    cr_expect_eq(data.split[0].bytes + data.split[1].bytes, report.bytes);
    char *said = NULL;
    size_t size;
    FILE *file = open_memstream(&said, &size);
    cr_expect_eq(lab_data_info(place.ctx, job.out.path, file), PEER_OK);
    fclose(file);
    cr_expect(strstr(said, "sentencepiece, vocabulary 512"), "%s", said);
    free(said);
    struct tempfile bin = tempdir_file(&place.dir, "out/valid.bin");
    cr_assert_eq(truncate(bin.path, 10), 0);
    file = fopen("/dev/null", "w");
    cr_expect_eq(lab_data_info(place.ctx, job.out.path, file), PEER_ERR_FORMAT);
    fclose(file);
}

/* What was left out stands in the description. */
Test(prepare, records_left_out_are_described)
{
    struct data_job job;
    data_text(&place, "in.jsonl", "{\"text\":\"one\"}\n{\"text\":null}\n{\"text\":\"two\"}\n[]\n");
    data_job_make(&job, &place, "in.jsonl");
    struct lab_data_report report = data_job_run(&job, &place);
    cr_expect_eq(report.notes.skipped, 2);
    size_t size;
    struct tempfile file = tempdir_file(&place.dir, "out/data.json");
    char *text = tempfile_read(&file, &size);
    char *skipped = memmem(text, size, "\"skipped\": 2", 12);
    char *first = memmem(text, size, "in.jsonl:2: no string in a field", 32);
    cr_expect(skipped && first, "%.*s", (int)size, text);
    free(text);
}
