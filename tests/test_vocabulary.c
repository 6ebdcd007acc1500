/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/vocabulary.h"
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

TestSuite(vocabulary, .init = set_up, .fini = tear_down);

static struct tempfile lines_file(const char *lines)
{
    struct tempfile file = tempdir_file(&dir, "tokenizer.vocab");
    tempfile_write(&file, lines, strlen(lines));
    return file;
}

static void stands_for(const struct lm_vocabulary *vocabulary, int64_t id, const char *expected,
                       int64_t length)
{
    int64_t bytes = -1;
    const char *text = lm_vocabulary_text(vocabulary, id, &bytes);
    cr_expect_eq(bytes, length, "id %lld: %lld bytes", (long long)id, (long long)bytes);
    cr_expect(!memcmp(text, expected, (size_t)length), "id %lld: %.*s", (long long)id, (int)bytes,
              text);
}

Test(vocabulary, decodes_pieces)
{
    struct tempfile file = lines_file("<unk>\t0\n<s>\t0\n</s>\t0\n<0x00>\t0\n<0xfE>\t0\n<0xGG>\t0\n"
                                      "\xe2\x96\x81the\t-3.25\na\xe2\x96\x81\xe2\x96\x81\t-1e2\n"
                                      "\xc3\xa9\xe2\x96\t-4\n\t\t-5\nlast\t-6");
    struct lm_vocabulary *vocabulary = NULL;
    cr_assert_eq(lm_vocabulary_open(&vocabulary, ctx, file.path), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(lm_vocabulary_size(vocabulary), 11);
    static const char *const expected[] = {
        "", "", "", "", "\xfe", "<0xGG>", " the", "a  ", "\xc3\xa9\xe2\x96", "\t", "last"};
    for (int id = 0; id < 11; id++)
        stands_for(vocabulary, id, expected[id], id == 3 ? 1 : (int64_t)strlen(expected[id]));
    stands_for(vocabulary, 11, "", 0);
    stands_for(vocabulary, -1, "", 0);
    lm_vocabulary_close(&vocabulary);
    cr_expect_null(vocabulary);
    lm_vocabulary_close(&vocabulary);
    lm_vocabulary_close(NULL);
}

Test(vocabulary, bytes_stand_for_themselves)
{
    struct lm_vocabulary *vocabulary = NULL;
    cr_assert_eq(lm_vocabulary_bytes(&vocabulary, ctx), PEER_OK);
    cr_expect_eq(lm_vocabulary_size(vocabulary), 257);
    for (int id = 0; id < 256; id++)
        stands_for(vocabulary, id, (char[]){(char)id}, 1);
    stands_for(vocabulary, 256, "", 0);
    stands_for(vocabulary, 257, "", 0);
    lm_vocabulary_close(&vocabulary);
}

static void refused(const struct tempfile *file, enum peer_status expected, const char *word)
{
    struct lm_vocabulary *vocabulary = NULL;
    cr_expect_eq(lm_vocabulary_open(&vocabulary, ctx, file->path), expected);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, file->path) && strstr(error, word), "%s: without %s", error, word);
    cr_expect_null(vocabulary);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

Test(vocabulary, refuses_lines_that_are_not_a_piece_and_a_score)
{
    static const struct {
        const char *lines, *word;
    } cases[] = {
        {"", "empty"},
        {"\n", ":1:"},
        {"a\t1\n\nb\t2\n", ":2:"},
        {"a\t1\nb 2\n", ":2:"},
        {"a\t1\nb\t\n", ":2:"},
        {"a\t1\nb\t2\nc\t3x\n", ":3:"},
        {"a\t1\n\t2\n", ":2:"},
        {"a\t1\nb\t2\r\n", ":2:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tempfile file = lines_file(cases[i].lines);
        refused(&file, PEER_ERR_FORMAT, cases[i].word);
    }
}

Test(vocabulary, holds_as_many_pieces_as_ids_have_values)
{
    enum { MOST = 65536, BYTES = 8 };
    char *lines = malloc((MOST + 1) * BYTES + 1);
    for (int i = 0; i <= MOST; i++)
        snprintf(lines + i * BYTES, BYTES + 1, "%05x\t1\n", (unsigned)i);
    struct tempfile file = lines_file(lines);
    refused(&file, PEER_ERR_FORMAT, "65536");
    lines[MOST * BYTES] = 0;
    file = lines_file(lines);
    struct lm_vocabulary *vocabulary = NULL;
    cr_assert_eq(lm_vocabulary_open(&vocabulary, ctx, file.path), PEER_OK);
    cr_expect_eq(lm_vocabulary_size(vocabulary), MOST);
    stands_for(vocabulary, MOST - 1, "0ffff", 5);
    lm_vocabulary_close(&vocabulary);
    free(lines);
}

Test(vocabulary, refuses_what_cannot_be_read)
{
    struct tempfile file = tempdir_file(&dir, "absent.vocab");
    refused(&file, PEER_ERR_IO, "No such file");
    file = tempdir_file(&dir, ".");
    refused(&file, PEER_ERR_IO, "not a regular file");
}

static enum peer_status create(void **ret, struct peer_ctx *failing, const void *config)
{
    struct lm_vocabulary **vocabulary = (struct lm_vocabulary **)ret;
    return config ? lm_vocabulary_open(vocabulary, failing, config)
                  : lm_vocabulary_bytes(vocabulary, failing);
}

static void destroy(void **object)
{
    lm_vocabulary_close((struct lm_vocabulary **)object);
}

Test(vocabulary, survives_failing_allocations)
{
    struct tempfile file = lines_file("a\t1\n");
    cr_expect_geq(failing_every_allocation(create, destroy, file.path), 1);
    cr_expect_geq(failing_every_allocation(create, destroy, NULL), 1);
}

/* The sum knows the bytes and where they are cut. */
Test(vocabulary, a_checksum_tells_vocabularies_apart)
{
    static const char *const texts[] = {"<unk>\t0\na\t-1\nbc\t-2\n", "<unk>\t0\nab\t-1\nc\t-2\n",
                                        "<unk>\t0\na\t-1\nbd\t-2\n", "<unk>\t0\na\t-3\nbc\t-4\n"};
    struct tempfile file = tempdir_file(&dir, "tokenizer.vocab");
    uint32_t sums[4];
    for (int i = 0; i < 4; i++) {
        struct lm_vocabulary *vocabulary = NULL;
        tempfile_write(&file, texts[i], strlen(texts[i]));
        cr_assert_eq(lm_vocabulary_open(&vocabulary, ctx, file.path), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        sums[i] = lm_vocabulary_crc(vocabulary);
        lm_vocabulary_close(&vocabulary);
    }
    cr_expect_neq(sums[0], sums[1]);
    cr_expect_neq(sums[0], sums[2]);
    cr_expect_eq(sums[0], sums[3], "scores are no matter of ids");
}
