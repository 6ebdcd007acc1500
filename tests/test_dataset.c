/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "lm/dataset.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(dataset, .init = set_up, .fini = tear_down);

static const uint16_t train_ids[] = {0, 1, 2, 1, 0}, valid_ids[] = {2, 2, 1};

static void write_ids(const char *name, const uint16_t *ids, size_t size)
{
    struct tempfile file = tempdir_file(&dir, name);
    tempfile_write(&file, ids, size);
}

static void write_text(const char *name, const char *text)
{
    struct tempfile file = tempdir_file(&dir, name);
    tempfile_write(&file, text, strlen(text));
}

static void describe(const char *tokenizer, int vocab, long train_tokens, unsigned long train_crc)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"%s\", \"vocab\": %d,"
             " \"train\": {\"tokens\": %ld, \"bytes\": 9, \"documents\": 1, \"crc32\": %lu},"
             " \"valid\": {\"tokens\": 3, \"bytes\": 9, \"documents\": 1, \"crc32\": %lu}}",
             tokenizer, vocab, train_tokens, train_crc,
             crc32(0, (const Bytef *)valid_ids, sizeof valid_ids));
    write_text("data.json", text);
}

/* A whole prepared folder with a vocabulary of three pieces. */
static void prepare(void)
{
    write_ids("train.bin", train_ids, sizeof train_ids);
    write_ids("valid.bin", valid_ids, sizeof valid_ids);
    write_text("tokenizer.vocab", "<unk>\t0\na\t-1\nbc\t-2\n");
    describe("sentencepiece", 3, 5, crc32(0, (const Bytef *)train_ids, sizeof train_ids));
}

static void refused(int64_t vocab, enum peer_status expected, const char *word, const char *other)
{
    struct lm_dataset data = {.vocab = 77};
    cr_expect_eq(lm_dataset_open(&data, ctx, dir.path, vocab, LM_DTYPE_AUTO), expected);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, word) && strstr(error, other), "%s: without %s or %s", error, word,
              other);
    cr_expect(data.vocab == 77 && !data.train && !data.valid && !data.vocabulary);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

Test(dataset, opens_a_prepared_folder)
{
    struct lm_dataset data;
    struct tempfile folder = tempdir_file(&dir, "../");
    prepare();
    strcat(folder.path, strrchr(dir.path, '/') + 1);
    strcat(folder.path, "//");
    cr_assert_eq(lm_dataset_open(&data, ctx, folder.path, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(data.vocab, 3);
    cr_expect_str_eq(data.name, strrchr(dir.path, '/') + 1);
    cr_expect_eq(lm_corpus_tokens(data.train), 5);
    cr_expect_eq(lm_corpus_tokens(data.valid), 3);
    int64_t bytes;
    cr_expect_arr_eq(lm_vocabulary_text(data.vocabulary, 2, &bytes), "bc", 2);
    lm_dataset_close(&data);
    cr_expect(!data.train && !data.valid && !data.vocabulary);
    lm_dataset_close(&data);
    lm_dataset_close(NULL);
}

Test(dataset, opens_words_like_pieces)
{
    struct lm_dataset data;
    int64_t bytes;
    prepare();
    describe("words", 3, 5, crc32(0, (const Bytef *)train_ids, sizeof train_ids));
    cr_assert_eq(lm_dataset_open(&data, ctx, dir.path, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_arr_eq(lm_vocabulary_text(data.vocabulary, 2, &bytes), "bc", 2);
    lm_dataset_close(&data);
}

Test(dataset, opens_bytes_without_valid)
{
    struct lm_dataset data;
    char text[256];
    write_ids("train.bin", train_ids, sizeof train_ids);
    snprintf(text, sizeof text,
             "{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"bytes\","
             " \"vocab\": 257, \"train\": {\"tokens\": 5, \"crc32\": %lu}, \"note\": [1]}",
             crc32(0, (const Bytef *)train_ids, sizeof train_ids));
    write_text("data.json", text);
    cr_assert_eq(lm_dataset_open(&data, ctx, dir.path, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(data.vocab, 257);
    cr_expect_null(data.valid);
    lm_dataset_close(&data);
}

Test(dataset, opens_plain_token_files)
{
    struct lm_dataset data;
    write_ids("train.bin", train_ids, sizeof train_ids);
    refused(0, PEER_ERR_ARGUMENT, "vocab = 0", "data.json");
    refused(1048577, PEER_ERR_ARGUMENT, "vocab = 1048577", "1048576");
    cr_assert_eq(lm_dataset_open(&data, ctx, dir.path, 50257, LM_DTYPE_AUTO), PEER_OK);
    cr_expect_eq(data.vocab, 50257);
    cr_expect(!data.valid && !data.vocabulary);
    lm_dataset_close(&data);
    write_ids("val.bin", valid_ids, sizeof valid_ids);
    cr_assert_eq(lm_dataset_open(&data, ctx, dir.path, 3, LM_DTYPE_AUTO), PEER_OK);
    cr_expect_eq(lm_corpus_tokens(data.valid), 3);
    lm_dataset_close(&data);
    refused(2, PEER_ERR_FORMAT, "id 2 at position 2", "train.bin");
    write_ids("val.bin", valid_ids, 5);
    refused(3, PEER_ERR_FORMAT, "val.bin", "5 bytes");
}

Test(dataset, refuses_files_that_are_not_what_is_described)
{
    unsigned long crc = crc32(0, (const Bytef *)train_ids, sizeof train_ids);
    prepare();
    describe("sentencepiece", 3, 6, crc);
    refused(0, PEER_ERR_FORMAT, "train.bin", "tokens = 6");
    describe("sentencepiece", 3, 5, crc ^ 1);
    refused(0, PEER_ERR_FORMAT, "train.bin", "crc32");
    describe("sentencepiece", 4, 5, crc);
    refused(0, PEER_ERR_FORMAT, "vocab = 4", "has 3");
    describe("bytes", 3, 5, crc);
    refused(0, PEER_ERR_FORMAT, "vocab = 3", "has 257");
    describe("syllables", 3, 5, crc);
    refused(0, PEER_ERR_FORMAT, "tokenizer", "\"sentencepiece\", \"words\" or \"bytes\"");
    describe("sentencepiece", 65537, 5, crc);
    refused(0, PEER_ERR_FORMAT, "vocab", "1 to 65536");
    prepare();
    write_ids("valid.bin", train_ids, sizeof valid_ids);
    refused(0, PEER_ERR_FORMAT, "valid.bin", "crc32");
}

Test(dataset, refuses_descriptions_with_missing_or_wrong_fields)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "data.json:1"},
        {"[", "data.json:1"},
        {"{\"format\": 1, \"format\": 2}", "duplicate"},
        {"[]", "format"},
        {"{\"format\": \"other\"}", "\"peerlab-data\""},
        {"{\"format\": \"peerlab-data\"}", "version"},
        {"{\"format\": \"peerlab-data\", \"version\": 2}", "version"},
        {"{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"bytes\"}", "vocab"},
        {"{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"bytes\","
         " \"vocab\": 257.0}",
         "vocab"},
        {"{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"bytes\","
         " \"vocab\": 257}",
         "train.tokens"},
        {"{\"format\": \"peerlab-data\", \"version\": 1, \"tokenizer\": \"bytes\","
         " \"vocab\": 257, \"train\": {\"tokens\": 5}}",
         "train.crc32"},
    };
    prepare();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("data.json", cases[i].text);
        refused(0, PEER_ERR_FORMAT, "data.json", cases[i].word);
    }
}

Test(dataset, refuses_what_cannot_be_read)
{
    struct lm_dataset data;
    struct tempfile absent = tempdir_file(&dir, "absent");
    cr_expect_eq(lm_dataset_open(&data, ctx, absent.path, 9, LM_DTYPE_AUTO), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), absent.path));
    refused(9, PEER_ERR_IO, "train.bin", dir.path);
    tempdir_become_nobody(&dir);
    prepare();
    struct tempfile file = tempdir_file(&dir, "data.json");
    cr_assert_eq(chmod(file.path, 0), 0);
    refused(0, PEER_ERR_IO, "data.json", "Permission denied");
}

static enum peer_status create(void **ret, struct peer_ctx *failing, const void *config)
{
    struct lm_dataset *data = malloc(sizeof *data);
    (void)config;
    enum peer_status status = lm_dataset_open(data, failing, dir.path, 0, LM_DTYPE_AUTO);
    if (status)
        free(data);
    else
        *ret = data;
    return status;
}

static void destroy(void **object)
{
    lm_dataset_close(*object);
    free(*object);
    *object = NULL;
}

Test(dataset, survives_failing_allocations)
{
    prepare();
    cr_expect_geq(failing_every_allocation(create, destroy, NULL), 4);
}
