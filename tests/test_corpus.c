/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lm/corpus.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

enum { SEED = 20407, HEADER = 256 };

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

TestSuite(corpus, .init = set_up, .fini = tear_down);

static enum peer_status open_file(struct lm_corpus **ret, struct peer_ctx *context,
                                  const char *path, int64_t vocab)
{
    struct lm_corpus_source source = {.paths = &path, .count = 1};
    return lm_corpus_open(ret, context, &source, vocab);
}

/* A file of `tokens` ids 0, 1, 2, ... */
static struct tempfile counting_file(int tokens)
{
    struct tempfile file = tempdir_file(&dir, "train.bin");
    uint16_t *ids = malloc((size_t)tokens * sizeof *ids);
    for (int i = 0; i < tokens; i++)
        ids[i] = (uint16_t)i;
    tempfile_write(&file, ids, (size_t)tokens * sizeof *ids);
    free(ids);
    return file;
}

static struct lm_corpus *counting_corpus(int tokens)
{
    struct lm_corpus *corpus = NULL;
    struct tempfile file = counting_file(tokens);
    cr_assert_eq(open_file(&corpus, ctx, file.path, 0), PEER_OK, "%s", peer_ctx_error(ctx));
    return corpus;
}

/* An llm.c file whose header may lie. */
static struct tempfile llmc_file(int32_t version, int32_t count, int tokens)
{
    struct tempfile file = tempdir_file(&dir, "llmc.bin");
    int32_t words[HEADER + 8] = {20240520, version, count};
    uint16_t ids[16] = {50256, 11, 7, 65535, 1, 2, 3};
    memcpy(words + HEADER, ids, sizeof ids);
    tempfile_write(&file, words, HEADER * sizeof *words + (size_t)tokens * 2);
    return file;
}

/* Opening must fail, name the file, say each of the words, and leave nothing behind. */
static void refused(const struct tempfile *file, int64_t vocab, enum peer_status expected,
                    const char *word, const char *other)
{
    struct lm_corpus *corpus = NULL;
    cr_expect_eq(open_file(&corpus, ctx, file->path, vocab), expected);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, file->path), "%s", error);
    cr_expect(strstr(error, word) && strstr(error, other), "%s: without %s or %s", error, word,
              other);
    cr_expect_null(corpus);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

Test(corpus, reads_both_formats)
{
    struct lm_corpus *corpus = counting_corpus(300);
    cr_expect_eq(lm_corpus_tokens(corpus), 300);
    cr_expect_eq(lm_corpus_id(corpus, 299), 299);
    lm_corpus_close(&corpus);
    cr_expect_null(corpus);

    struct tempfile file = llmc_file(1, 4, 4);
    cr_assert_eq(open_file(&corpus, ctx, file.path, 0), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(lm_corpus_tokens(corpus), 4);
    static const int32_t expected[] = {50256, 11, 7, 65535};
    int32_t ids[4];
    lm_corpus_read(corpus, ids, 0, 4);
    cr_expect_arr_eq(ids, expected, sizeof expected);
    lm_corpus_close(&corpus);
    lm_corpus_close(&corpus);
    lm_corpus_close(NULL);
}

Test(corpus, refuses_files_of_the_wrong_size)
{
    struct tempfile file = tempdir_file(&dir, "train.bin");
    tempfile_write(&file, "", 0);
    refused(&file, 0, PEER_ERR_FORMAT, "empty", "");
    tempfile_write(&file, "a", 1);
    refused(&file, 0, PEER_ERR_FORMAT, "1 bytes", "");
    tempfile_write(&file, "ab", 2);
    refused(&file, 0, PEER_ERR_FORMAT, "tokens = 1", "at least 2");
    tempfile_write(&file, "abcdefg", 7);
    refused(&file, 0, PEER_ERR_FORMAT, "7 bytes", "");
}

Test(corpus, refuses_damaged_headers)
{
    struct tempfile file = llmc_file(1, 8, 4);
    refused(&file, 0, PEER_ERR_FORMAT, "8 tokens", "8 bytes");
    file = llmc_file(1, 4, 5);
    refused(&file, 0, PEER_ERR_FORMAT, "4 tokens", "10 bytes");
    file = llmc_file(1, -4, 4);
    refused(&file, 0, PEER_ERR_FORMAT, "-4 tokens", "");
    file = llmc_file(1, INT32_MAX, 4);
    refused(&file, 0, PEER_ERR_FORMAT, "2147483647 tokens", "");
    file = llmc_file(2, 4, 4);
    refused(&file, 0, PEER_ERR_FORMAT, "version = 2", "expected 1");
    file = llmc_file(1, 1, 1);
    refused(&file, 0, PEER_ERR_FORMAT, "tokens = 1", "at least 2");
}

Test(corpus, refuses_an_llmc_file_cut_anywhere)
{
    struct tempfile whole = llmc_file(1, 4, 4), cut = tempdir_file(&dir, "cut.bin");
    size_t size;
    char *bytes = tempfile_read(&whole, &size);
    for (size_t i = 4; i < size; i++) {
        tempfile_write(&cut, bytes, i);
        refused(&cut, 0, PEER_ERR_FORMAT, "bytes", "");
    }
    free(bytes);
}

Test(corpus, names_the_first_id_beyond_the_vocabulary_and_its_position)
{
    enum { TOKENS = 200001, AT = 131101 };
    static uint16_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)peer_random_below(SEED, 1, (uint64_t)i, 999);
    struct tempfile file = tempdir_file(&dir, "train.bin");
    ids[0] = 998;
    tempfile_write(&file, ids, sizeof ids);
    struct lm_corpus *corpus = NULL;
    cr_expect_eq(open_file(&corpus, ctx, file.path, 999), PEER_OK);
    lm_corpus_close(&corpus);
    ids[AT] = 999;
    ids[AT + 1] = 65535;
    tempfile_write(&file, ids, sizeof ids);
    refused(&file, 999, PEER_ERR_FORMAT, "id 999 at position 131101", "999");
    cr_expect_eq(open_file(&corpus, ctx, file.path, 65536), PEER_OK);
    lm_corpus_close(&corpus);
    ids[TOKENS - 1] = 65535;
    ids[AT] = ids[AT + 1] = 0;
    tempfile_write(&file, ids, sizeof ids);
    refused(&file, 65535, PEER_ERR_FORMAT, "id 65535 at position 200000", "65535");
}

Test(corpus, refuses_what_cannot_be_read)
{
    struct tempfile file = tempdir_file(&dir, "absent.bin");
    refused(&file, 0, PEER_ERR_IO, "No such file", "");
    file = tempdir_file(&dir, ".");
    refused(&file, 0, PEER_ERR_IO, "not a regular file", "");
    tempdir_become_nobody(&dir);
    file = counting_file(10);
    cr_assert_eq(chmod(file.path, 0), 0);
    refused(&file, 0, PEER_ERR_IO, "Permission denied", "");
}

static enum peer_status create(void **ret, struct peer_ctx *failing, const void *config)
{
    return open_file((struct lm_corpus **)ret, failing, config, 0);
}

static void destroy(void **object)
{
    lm_corpus_close((struct lm_corpus **)object);
}

Test(corpus, survives_failing_allocations)
{
    struct tempfile file = counting_file(10);
    cr_expect_geq(failing_every_allocation(create, destroy, file.path), 1);
}

/* The first input of every window of an epoch, in its order. Each window is checked to be a run of
 * the ring of tokens - 1 pairs, with targets one ahead. */
static void read_epoch(int *starts, const struct lm_corpus *corpus, int length, uint64_t seed,
                       int epoch)
{
    int pairs = (int)lm_corpus_tokens(corpus) - 1;
    int count = (int)lm_corpus_sequences(corpus, length);
    int32_t *inputs = malloc((size_t)length * sizeof *inputs);
    int32_t *targets = malloc((size_t)length * sizeof *targets);
    for (int w = 0; w < count; w++) {
        lm_corpus_batch(corpus, inputs, targets, 1, length, seed, (int64_t)epoch * count + w);
        for (int s = 0; s < length; s++) {
            cr_assert_eq(inputs[s], (inputs[0] + s) % pairs);
            cr_assert_eq(targets[s], inputs[s] + 1);
        }
        starts[w] = inputs[0];
    }
    free(inputs);
    free(targets);
}

Test(corpus, an_epoch_visits_every_window_once)
{
    static const int sizes[][2] = {{2, 1},    {3, 1},    {3, 2},   {18, 17}, {100, 7},
                                   {1000, 3}, {1025, 4}, {34, 33}, {67, 33}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int tokens = sizes[i][0], length = sizes[i][1], pairs = tokens - 1;
        struct lm_corpus *corpus = counting_corpus(tokens);
        int count = (int)lm_corpus_sequences(corpus, length);
        cr_assert_eq(count, pairs / length);
        int starts[1024], seen[1024];
        for (int epoch = 0; epoch < 20; epoch++) {
            read_epoch(starts, corpus, length, SEED, epoch);
            memset(seen, 0, sizeof seen);
            for (int w = 0; w < count; w++)
                for (int s = 0; s < length; s++)
                    seen[(starts[w] + s) % pairs]++;
            int covered = 0;
            for (int at = 0; at < pairs; at++) {
                cr_assert_leq(seen[at], 1, "tokens %d, length %d, epoch %d: pair %d seen %d times",
                              tokens, length, epoch, at, seen[at]);
                covered += seen[at];
            }
            cr_assert_eq(covered, count * length);
        }
        lm_corpus_close(&corpus);
    }
}

Test(corpus, epochs_seeds_and_lengths_differ_in_order_and_borders)
{
    struct lm_corpus *corpus = counting_corpus(1001);
    int a[128], b[128];
    read_epoch(a, corpus, 8, SEED, 0);
    read_epoch(b, corpus, 8, SEED, 1);
    cr_expect_arr_neq(a, b, sizeof a);
    cr_expect_neq(a[0] % 8, b[0] % 8, "both epochs have their borders at %d mod 8", a[0] % 8);
    read_epoch(b, corpus, 8, SEED + 1, 0);
    cr_expect_arr_neq(a, b, sizeof a);
    read_epoch(b, corpus, 9, SEED, 0);
    cr_expect_neq(a[0], b[0]);
    lm_corpus_close(&corpus);
}

/* 6 windows over 3000 epochs: each comes first 500 times, with a standard deviation of 20.4; the
 * offset's 12 values 250 times, with one of 15.1. */
Test(corpus, orders_are_uniform)
{
    struct lm_corpus *corpus = counting_corpus(13);
    int first[12] = {0}, after[12] = {0};
    for (int epoch = 0; epoch < 3000; epoch++) {
        int starts[6];
        read_epoch(starts, corpus, 2, SEED, epoch);
        first[starts[0]]++;
        after[(starts[1] - starts[0] + 12) % 12]++;
    }
    for (int i = 0; i < 12; i++)
        cr_expect_lt(abs(first[i] - 250), 76, "start %d first in %d epochs", i, first[i]);
    /* The second window lies 1 ... 5 windows after the first, 600 times each (deviation 21.9). */
    for (int i = 2; i < 12; i += 2)
        cr_expect_lt(abs(after[i] - 600), 110, "distance %d in %d epochs", i, after[i]);
    lm_corpus_close(&corpus);
}

Test(corpus, a_batch_is_a_function_of_its_position)
{
    enum { S = 5, B = 40 };
    struct lm_corpus *corpus = counting_corpus(37); /* 7 windows: batches cross epochs */
    int32_t inputs[B * S], targets[B * S], some_inputs[B * S], some_targets[B * S];
    lm_corpus_batch(corpus, inputs, targets, B, S, SEED, 0);
    for (int start = 0; start < B; start++) {
        int rest = B - start;
        lm_corpus_batch(corpus, some_inputs, some_targets, rest, S, SEED, start);
        cr_expect_arr_eq(some_inputs, inputs + start * S, sizeof *inputs * (size_t)(rest * S));
        cr_expect_arr_eq(some_targets, targets + start * S, sizeof *inputs * (size_t)(rest * S));
    }
    /* Positions past 2^32 count as well. */
    lm_corpus_batch(corpus, some_inputs, some_targets, 7, S, SEED, (int64_t)7 << 40);
    cr_expect_arr_neq(some_inputs, inputs, sizeof *inputs * 7 * S);
    lm_corpus_close(&corpus);
}

Test(corpus, evaluation_windows_cover_every_token_but_the_first_once)
{
    for (int tokens = 2; tokens < 60; tokens++) {
        struct lm_corpus *corpus = counting_corpus(tokens);
        for (int length = 1; length < 20; length += 3) {
            enum { B = 3 };
            int32_t inputs[B * 20], targets[B * 20];
            int next = 1, windows = (tokens - 1 + length - 1) / length;
            for (int first = 0; first < windows + 1; first += B) {
                lm_corpus_window(corpus, inputs, targets, B, length, first);
                for (int i = 0; i < B * length; i++) {
                    bool inside = next < tokens;
                    cr_assert_eq(targets[i], inside ? next : -1);
                    cr_assert_eq(inputs[i], inside ? next - 1 : -1);
                    next += inside;
                }
            }
            cr_assert_eq(next, tokens);
        }
        lm_corpus_close(&corpus);
    }
}
