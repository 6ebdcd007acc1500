/* SPDX-License-Identifier: MIT */
#include "tests/support/data_job.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "lm/dataset.h"
#include "nn/random.h"

static const struct lab_work work = {.show = false};

struct data_place data_place_create(void)
{
    struct data_place place = {.dir = tempdir_create()};
    cr_assert_eq(peer_ctx_create(&place.ctx, NULL), PEER_OK);
    return place;
}

void data_place_remove(struct data_place *place)
{
    peer_ctx_destroy(&place->ctx);
    tempdir_remove(&place->dir);
}

struct tempfile data_text(const struct data_place *place, const char *name, const char *text)
{
    struct tempfile file = tempdir_file(&place->dir, name);
    tempfile_write(&file, text, strlen(text));
    return file;
}

void data_job_make(struct data_job *job, const struct data_place *place, const char *input)
{
    *job = (struct data_job){.options = lab_data_options_default()};
    job->in = tempdir_file(&place->dir, input);
    job->out = tempdir_file(&place->dir, "out");
    job->inputs[0] = job->in.path;
    job->options.inputs = job->inputs;
    job->options.input_count = 1;
    job->options.out = job->out.path;
    job->options.vocab = 0;
}

struct lab_data_report data_job_run(const struct data_job *job, const struct data_place *place)
{
    struct lab_data_report report;
    cr_assert_eq(lab_data_prepare(&report, place->ctx, &job->options, &work), PEER_OK, "%s",
                 peer_ctx_error(place->ctx));
    return report;
}

void data_job_refused(const struct data_job *job, const struct data_place *place,
                      enum peer_status status, const char *says, int entries)
{
    struct lab_data_report report;
    cr_expect_eq(lab_data_prepare(&report, place->ctx, &job->options, &work), status, "%s",
                 peer_ctx_error(place->ctx));
    cr_expect(strstr(peer_ctx_error(place->ctx), says), "%s", peer_ctx_error(place->ctx));
    cr_expect_eq(tempdir_count(&place->dir), entries, "%d entries", tempdir_count(&place->dir));
}

struct lab_buffer data_decode(const struct data_place *place, const char *folder, int split)
{
    struct lm_dataset dataset;
    struct lab_buffer text = lab_buffer_create(place->ctx);
    cr_assert_eq(lm_dataset_open(&dataset, place->ctx, folder, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(place->ctx));
    const struct lm_corpus *corpus = split ? dataset.valid : dataset.train;
    for (int64_t i = 0; corpus && i < lm_corpus_tokens(corpus); i++) {
        int64_t bytes;
        const char *piece = lm_vocabulary_text(dataset.vocabulary, lm_corpus_id(corpus, i), &bytes);
        lab_buffer_add(&text, bytes ? piece : "\xff", bytes ? bytes : 1);
    }
    lm_dataset_close(&dataset);
    return text;
}

struct lab_buffer data_awkward_text(const struct data_place *place, uint64_t seed, int documents)
{
    static const char *const awkward[] = {
        "\t",           "\n",           "\n\n",   "  ",       "\r\n",
        "\xe2\x96\x81", "\xe2\x96\x85", "<0x41>", "</s>",     "\xf0\x9f\x98\x80",
        "\xc3\xa9",     "\x01",         "\x7f",   "\xc2\xa0", " "};
    struct lab_buffer text = lab_buffer_create(place->ctx);
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

void data_write_documents(const struct data_place *place, const char *name,
                          const struct lab_buffer *text)
{
    struct tempfile path = tempdir_file(&place->dir, name);
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

void data_expect_round_trip(const struct data_place *place, const char *folder,
                            const struct lab_buffer *text)
{
    struct lab_buffer parts[LAB_SPLITS];
    int64_t at[LAB_SPLITS] = {0, 0}, documents = 0;
    for (int i = 0; i < LAB_SPLITS; i++)
        parts[i] = data_decode(place, folder, i);
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
