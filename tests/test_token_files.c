/* SPDX-License-Identifier: MIT */
/* Token files of every kind: those known are read alike, others refused by name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "lm/dataset.h"
#include "nn/random.h"
#include "tests/support/tempdir.h"

enum { SEED = 20408, COUNT = 3001, BIG = 100000 };

static struct peer_ctx *ctx;
static struct tempdir dir;
static uint16_t narrow[COUNT];
static uint32_t wide[COUNT];

/* Ids as of a text: low ones often. */
static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    for (int i = 0; i < COUNT; i++) {
        uint32_t most = 1 + peer_random_below(SEED, 1, (uint64_t)i, 50256);
        narrow[i] = (uint16_t)peer_random_below(SEED, 2, (uint64_t)i, most);
        wide[i] = narrow[i];
    }
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(token_files, .init = set_up, .fini = tear_down);

/* Writes `head`, then `size` bytes of `ids`. */
static void write_file(const char *name, const void *head, size_t before, const void *ids,
                       size_t size)
{
    struct tempfile file = tempdir_file(&dir, name);
    char *bytes = malloc(before + size + 1);
    if (before)
        memcpy(bytes, head, before);
    if (size)
        memcpy(bytes + before, ids, size);
    tempfile_write(&file, bytes, before + size);
    free(bytes);
}

static void write_llmc(const char *name, int32_t magic, int32_t version, int32_t count,
                       const void *ids, size_t size)
{
    int32_t header[256] = {magic, version, count};
    write_file(name, header, sizeof header, ids, size);
}

static void write_npy(const char *name, int version, const char *text, const void *ids, size_t size)
{
    char header[256];
    int start = version == 1 ? 10 : 12, length = 128 - start;
    snprintf(header, sizeof header, "\x93NUMPY");
    header[6] = (char)version;
    header[7] = 0;
    memset(header + 8, 0, 4);
    header[8] = (char)length;
    snprintf(header + start, (size_t)length + 1, "%-*s\n", length - 1, text);
    write_file(name, header, 128, ids, size);
}

static enum peer_status open_one(struct lm_corpus **ret, const char *name, enum lm_dtype dtype,
                                 int64_t vocab)
{
    struct tempfile file = tempdir_file(&dir, name);
    const char *path = file.path;
    struct lm_corpus_source source = {.paths = &path, .count = 1, .dtype = dtype};
    *ret = NULL;
    return lm_corpus_open(ret, ctx, &source, vocab);
}

static void expect_ids(const char *name, enum lm_dtype dtype)
{
    struct lm_corpus *corpus;
    cr_assert_eq(open_one(&corpus, name, dtype, 50257), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(lm_corpus_tokens(corpus), COUNT);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(lm_corpus_id(corpus, i), narrow[i], "%s: id %d", name, i);
    lm_corpus_close(&corpus);
}

static void expect_refused(const char *name, enum lm_dtype dtype, int64_t vocab, const char *words)
{
    struct lm_corpus *corpus;
    char text[256];
    cr_expect_eq(open_one(&corpus, name, dtype, vocab), PEER_ERR_FORMAT, "%s: %s", name, words);
    cr_expect(strstr(peer_ctx_error(ctx), name), "%s", peer_ctx_error(ctx));
    snprintf(text, sizeof text, "%s", words);
    for (char *word = strtok(text, "|"); word; word = strtok(NULL, "|"))
        cr_expect(strstr(peer_ctx_error(ctx), word), "%s: without \"%s\"", peer_ctx_error(ctx),
                  word);
    cr_expect_null(corpus);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

Test(token_files, every_kind_gives_the_same_ids)
{
    write_file("plain.bin", NULL, 0, narrow, sizeof narrow);
    expect_ids("plain.bin", LM_DTYPE_AUTO);
    expect_ids("plain.bin", LM_DTYPE_UINT16);
    write_file("wide.bin", NULL, 0, wide, sizeof wide);
    expect_ids("wide.bin", LM_DTYPE_UINT32);
    write_llmc("one.bin", 20240520, 1, COUNT, narrow, sizeof narrow);
    expect_ids("one.bin", LM_DTYPE_AUTO);
    write_llmc("seven.bin", 20240801, 7, COUNT, wide, sizeof wide);
    expect_ids("seven.bin", LM_DTYPE_AUTO);
    for (int version = 1; version <= 3; version++) {
        write_npy("a.npy", version, "{'descr': '<u2', 'fortran_order': False, 'shape': (3001,), }",
                  narrow, sizeof narrow);
        expect_ids("a.npy", LM_DTYPE_AUTO);
        write_npy("a.npy", version,
                  "{\"shape\": (3001L,), \"fortran_order\": False, \"descr\": \"<u4\"}", wide,
                  sizeof wide);
        expect_ids("a.npy", LM_DTYPE_UINT32);
    }
}

Test(token_files, ids_above_65535_are_read)
{
    struct lm_corpus *corpus;
    for (int i = 0; i < COUNT; i++)
        wide[i] = 2 * wide[i] + (uint32_t)i % 2;
    wide[COUNT - 1] = 128255;
    write_llmc("seven.bin", 20240801, 7, COUNT, wide, sizeof wide);
    cr_assert_eq(open_one(&corpus, "seven.bin", LM_DTYPE_AUTO, 128256), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(lm_corpus_id(corpus, COUNT - 1), 128255);
    lm_corpus_close(&corpus);
    expect_refused("seven.bin", LM_DTYPE_AUTO, 128255, "id 128255 at position 3000|128255");
    wide[5] = UINT32_MAX;
    write_llmc("seven.bin", 20240801, 7, COUNT, wide, sizeof wide);
    expect_refused("seven.bin", LM_DTYPE_AUTO, 0, "id 4294967295 at position 5");
}

Test(token_files, headers_must_agree_with_sizes_versions_and_dtype)
{
    write_llmc("x.bin", 20240520, 7, COUNT, narrow, sizeof narrow);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "version = 7|expected 1");
    write_llmc("x.bin", 20240801, 1, COUNT, wide, sizeof wide);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "version = 1|expected 7");
    write_llmc("x.bin", 20240801, 7, COUNT, wide, sizeof wide - 4);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "3001 tokens of 4 bytes|12000 bytes follow|cut");
    write_llmc("x.bin", 20240520, 1, COUNT, narrow, sizeof narrow);
    expect_refused("x.bin", LM_DTYPE_UINT32, 65536, "ids of 2 bytes|dtype says uint32");
    write_llmc("x.bin", (int32_t)__builtin_bswap32(20240520), 1, COUNT, narrow, sizeof narrow);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "big-endian");
    write_file("x.bin", NULL, 0, wide, sizeof wide - 2);
    expect_refused("x.bin", LM_DTYPE_UINT32, 65536, "12002 bytes|4-byte ids");
}

Test(token_files, arrays_that_are_no_stream_are_refused_with_the_reason)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{'descr': '>u2', 'fortran_order': False, 'shape': (3001,), }", "'>u2'|little-endian"},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (3001,), }", "'<i8'|astype"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (1, 3001), }", "2 dimensions"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (), }", "0 dimensions"},
        {"{'descr': '<u2', 'fortran_order': True, 'shape': (3001,), }", "Fortran"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (3002,), }", "3002 ids|6002 bytes"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999999999,), }", "header"},
        {"{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (3001,), }", "header"},
        {"{'descr': '<u2', 'shape': (3001,), }", "header"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (3001", "header"},
        {"", "header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy("a.npy", 1, cases[i].text, narrow, sizeof narrow);
        expect_refused("a.npy", LM_DTYPE_AUTO, 65536, cases[i].words);
    }
    write_npy("a.npy", 4, cases[0].text, narrow, sizeof narrow);
    expect_refused("a.npy", LM_DTYPE_AUTO, 65536, "version 4");
    write_file("a.npy", "\x93NUMPY\2\0\1\0\1\0", 12, narrow, sizeof narrow);
    expect_refused("a.npy", LM_DTYPE_AUTO, 65536, "header of 65537 bytes|at most 65536");
}

Test(token_files, an_array_cut_anywhere_is_refused)
{
    size_t size;
    write_npy("a.npy", 1, "{'descr': '<u2', 'fortran_order': False, 'shape': (9,), }", narrow, 18);
    struct tempfile whole = tempdir_file(&dir, "a.npy"), cut = tempdir_file(&dir, "cut.npy");
    char *bytes = tempfile_read(&whole, &size);
    for (size_t i = 6; i < size; i++) {
        tempfile_write(&cut, bytes, i);
        expect_refused("cut.npy", LM_DTYPE_AUTO, 65536, "");
    }
    free(bytes);
}

Test(token_files, other_kinds_are_refused_by_name)
{
#define KIND(bytes, words)                                                                         \
    {                                                                                              \
        bytes, sizeof bytes - 1, words                                                             \
    }
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        KIND("\x8a\xd8\x34\x01", "evaluation file"),
        KIND("\xc6\xd7\x34\x01", "checkpoint of llm.c"),
        KIND("\x1f\x8b\x08\0", "gzip"),
        KIND("\x28\xb5\x2f\xfd", "zstd"),
        KIND("\xfd"
             "7zXZ\0",
             "xz"),
        KIND("PK\3\4\x14\0", "zip|numpy.save"),
        KIND("\x80\2\x8a\x0a\x6c\xfc\x9c\x46", "pickle"),
        KIND("\x80\4\x95\x10\0\0\0\0\0\0\0]", "pickle"),
        KIND("\x40\0\0\0\0\0\0\0{\"a\":", "safetensors"),
        KIND("PAR1\x15\4", "Parquet"),
        KIND("\x89HDF\r\n\x1a\n", "HDF5"),
        KIND("SQLite format 3\0", "SQLite"),
        KIND("MMIDIDX\0\0\1", "Megatron"),
        KIND("GGUF\3\0\0\0", "GGUF"),
        KIND("\xff\xfeT\0e\0x\0t\0", "UTF-16"),
    };
#undef KIND
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("x.bin", cases[i].bytes, cases[i].size, narrow, sizeof narrow);
        expect_refused("x.bin", LM_DTYPE_AUTO, 65536, cases[i].words);
        expect_refused("x.bin", LM_DTYPE_UINT32, 65536, cases[i].words);
    }
}

Test(token_files, text_is_no_ids_whatever_the_vocabulary)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"hello world, this is text saved as bin, so it is\n", "text, not token ids"},
        {"Grüße aus München, ein kurzer Text mit Umlauten\t.\r\n", "text, not token ids"},
        {"{\"text\": \"a line of JSON, not of ids at all\"}\n", "JSON"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
        {"<!DOCTYPE html><html><body>429 Too Many Requests</body>\n", "web page"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut < 2; cut++) { /* of odd and of even length */
            write_file("x.bin", cases[i].text, strlen(cases[i].text) - cut, NULL, 0);
            expect_refused("x.bin", LM_DTYPE_AUTO, 65536, cases[i].words);
        }
}

/* Ids of one width, read as another. */
Test(token_files, wide_ids_are_not_taken_for_narrow_ones)
{
    static uint64_t huge[COUNT + 1];
    static uint32_t swapped[COUNT];
    static uint16_t turned[COUNT + 1];
    write_file("x.bin", NULL, 0, wide, sizeof wide);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "second id is 0|dtype: uint32|dtype: uint16");
    for (int i = 0; i < COUNT; i++) {
        huge[i] = wide[i];
        swapped[i] = __builtin_bswap32(wide[i]);
        turned[i] = __builtin_bswap16(narrow[i]);
    }
    write_file("x.bin", NULL, 0, huge, sizeof huge);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "64-bit");
    expect_refused("x.bin", LM_DTYPE_UINT32, 65536, "64-bit|.npy");
    write_file("x.bin", NULL, 0, swapped, sizeof swapped);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "big-endian|.npy");
    expect_refused("x.bin", LM_DTYPE_UINT32, 65536, "vocabulary has 65536; in big-endian order");
    write_file("x.bin", NULL, 0, turned, sizeof turned);
    expect_refused("x.bin", LM_DTYPE_AUTO, 50257, "vocabulary has 50257; in big-endian order");
    write_file("x.bin", NULL, 0, narrow, sizeof narrow - 2);
    expect_refused("x.bin", LM_DTYPE_UINT32, 50257, "read as uint16 they fit");
    for (int i = 0; i < COUNT; i++) /* the high half is 0 or 1 */
        wide[i] += 60000;
    write_file("x.bin", NULL, 0, wide, sizeof wide);
    expect_refused("x.bin", LM_DTYPE_AUTO, 65536, "below 32|dtype: uint32|dtype: uint16");
    expect_refused("x.bin", LM_DTYPE_AUTO, 50257, "dtype: uint32");
}

/* Whatever the ids look like; what is beyond the vocabulary is refused all the same. */
Test(token_files, the_users_word_for_uint16_is_taken)
{
    struct lm_corpus *corpus;
    static uint64_t huge[COUNT];
    const uint16_t *halves = (const uint16_t *)(const void *)wide;
    for (int i = 0; i < COUNT; i++)
        huge[i] = wide[i];
    write_file("x.bin", NULL, 0, wide, sizeof wide);
    cr_assert_eq(open_one(&corpus, "x.bin", LM_DTYPE_UINT16, 65536), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(lm_corpus_tokens(corpus), 2 * COUNT);
    for (int i = 0; i < 2 * COUNT; i++)
        cr_assert_eq(lm_corpus_id(corpus, i), halves[i]);
    lm_corpus_close(&corpus);
    expect_refused("x.bin", LM_DTYPE_UINT16, 10, "vocabulary has 10");
    write_file("x.bin", NULL, 0, huge, sizeof huge);
    cr_assert_eq(open_one(&corpus, "x.bin", LM_DTYPE_UINT16, 65536), PEER_OK);
    lm_corpus_close(&corpus);
}

/* Without a vocabulary none is spoken of. */
Test(token_files, an_id_beyond_every_vocabulary_is_said_to_be)
{
    wide[COUNT - 2] = 3000000000u;
    write_file("x.bin", NULL, 0, wide, sizeof wide);
    expect_refused("x.bin", LM_DTYPE_UINT32, 0,
                   "id 3000000000 at position 2999|below 2147483648 in any vocabulary");
    cr_expect_null(strstr(peer_ctx_error(ctx), "the vocabulary has"));
}

/* What a header says is not doubted. */
Test(token_files, a_stream_of_many_zeros_is_read_where_its_width_is_stated)
{
    struct lm_corpus *corpus;
    write_llmc("x.bin", 20240520, 1, 2 * COUNT, wide, sizeof wide);
    cr_expect_eq(open_one(&corpus, "x.bin", LM_DTYPE_AUTO, 65536), PEER_OK);
    cr_expect_eq(lm_corpus_id(corpus, 2 * COUNT - 1), 0);
    lm_corpus_close(&corpus);
    memset(narrow, 0, sizeof narrow);
    write_file("x.bin", NULL, 0, narrow, sizeof narrow);
    cr_expect_eq(open_one(&corpus, "x.bin", LM_DTYPE_AUTO, 1), PEER_OK, "%s", peer_ctx_error(ctx));
    lm_corpus_close(&corpus);
}

/* The sum of tiles is that of the whole. */
Test(token_files, checksum_is_that_of_the_ids_for_any_number_of_threads)
{
    enum { MANY = 1200007 };
    uint16_t *ids = malloc(MANY * sizeof *ids);
    for (int i = 0; i < MANY; i++)
        ids[i] = (uint16_t)(1000 + peer_random_below(SEED, 3, (uint64_t)i, 40000));
    write_llmc("x.bin", 20240520, 1, MANY, ids, MANY * sizeof *ids);
    uint32_t expected = (uint32_t)crc32_z(0, (const Bytef *)ids, MANY * sizeof *ids);
    struct tempfile file = tempdir_file(&dir, "x.bin");
    const char *path = file.path;
    for (int threads = 1; threads <= 3; threads++) {
        struct peer_ctx *other;
        struct lm_corpus *corpus;
        struct peer_ctx_config config = {.threads = threads};
        struct lm_corpus_source source = {.paths = &path, .count = 1};
        cr_assert_eq(peer_ctx_create(&other, &config), PEER_OK);
        cr_assert_eq(lm_corpus_open(&corpus, other, &source, 41000), PEER_OK);
        cr_expect_eq(lm_corpus_crc(corpus), expected);
        lm_corpus_close(&corpus);
        peer_ctx_destroy(&other);
    }
    free(ids);
}

/* Opens the folder, or what a pattern in it matches, and expects ids first, first + 1, ... */
static void expect_stream(const char *pattern, int64_t first, int64_t tokens, int64_t valid)
{
    struct lm_dataset data;
    struct tempfile where = tempdir_file(&dir, pattern);
    cr_assert_eq(lm_dataset_open(&data, ctx, *pattern ? where.path : dir.path, BIG, LM_DTYPE_AUTO),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(lm_corpus_tokens(data.train), tokens, "%s", pattern);
    for (int64_t i = 0; i < tokens; i++)
        cr_assert_eq(lm_corpus_id(data.train, i), first + i);
    cr_expect_eq(data.valid ? lm_corpus_tokens(data.valid) : 0, valid, "%s", pattern);
    lm_dataset_close(&data);
}

/* Shard `number` of `count` ids from `first` on. */
static void write_shard(const char *format, int number, int first, int count)
{
    char name[64];
    uint16_t ids[300];
    for (int i = 0; i < count; i++)
        ids[i] = (uint16_t)(first + i);
    snprintf(name, sizeof name, format, number);
    write_llmc(name, 20240520, 1, count, ids, (size_t)count * 2);
}

Test(token_files, shards_are_one_stream_in_the_order_of_their_numbers)
{
    write_shard("fineweb_val_%06d.bin", 0, 7, 5);
    write_shard("fineweb_train_%06d.bin", 2, 101, 99);
    write_shard("fineweb_train_%06d.bin", 1, 100, 1);
    write_shard("fineweb_train_%06d.bin", 10, 200, 200);
    expect_stream("", 100, 300, 5);
    expect_stream("fineweb_train_*.bin", 100, 300, 5);
    expect_stream("fineweb_*.bin", 100, 300, 5);
    expect_stream("fineweb_train_000010.bin", 200, 200, 0);
    expect_stream("*_train_00000?.bin", 100, 100, 5);
}

Test(token_files, numbers_without_zeros_before_them_count_as_numbers)
{
    for (int i = 12; i >= 1; i--)
        write_shard("train_%d.bin", i, 10 * i, 10);
    write_shard("valid_%d.bin", 1, 0, 3);
    expect_stream("", 10, 120, 3);
}

/* Windows, batches and runs of ids do not see where shards meet. */
/* Characters of patterns in names of files and folders that are there stand for themselves. */
Test(token_files, names_may_have_the_characters_of_patterns)
{
    static const char *const prefixes[] = {"[ab]", "a*", "a?", "a\\b", "{a,b}"};
    struct tempfile folder = tempdir_file(&dir, "f[1]");
    char format[64], pattern[64];
    cr_assert_eq(mkdir(folder.path, 0777), 0);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(format, sizeof format, "%s_train_%%d.bin", prefixes[i]);
        write_shard(format, 1, 100, 10);
        write_shard("a_val_%d.bin", 1, 0, 3);
        snprintf(format, sizeof format, "%s_val_%%d.bin", prefixes[i]);
        write_shard(format, 1, 0, 7);
        snprintf(pattern, sizeof pattern, "%s_train_1.bin", prefixes[i]);
        expect_stream(pattern, 100, 10, 7);
    }
    write_shard("f[1]/x_train_%d.bin", 1, 100, 10);
    write_shard("f[1]/x_train_%d.bin", 2, 110, 10);
    write_shard("f[1]/x_val_%d.bin", 1, 0, 7);
    expect_stream("f[1]/x_train_*.bin", 100, 20, 7);
    expect_stream("f[1]", 100, 20, 7);
}

Test(token_files, batches_of_shards_are_those_of_one_file)
{
    enum { S = 7, B = 30 };
    struct lm_corpus *one, *many;
    struct tempfile files[4] = {tempdir_file(&dir, "a0.bin"), tempdir_file(&dir, "a1.bin"),
                                tempdir_file(&dir, "a2.bin"), tempdir_file(&dir, "all.bin")};
    const char *paths[3] = {files[0].path, files[1].path, files[2].path}, *all = files[3].path;
    int32_t a[2][B * S], b[2][B * S];
    tempfile_write(&files[0], narrow, 2 * 100);
    tempfile_write(&files[1], narrow + 100, 2);
    tempfile_write(&files[2], narrow + 101, 2 * 99);
    tempfile_write(&files[3], narrow, 2 * 200);
    struct lm_corpus_source whole = {&all, 1, LM_DTYPE_AUTO, false};
    struct lm_corpus_source parts = {paths, 3, LM_DTYPE_AUTO, false};
    cr_assert_eq(lm_corpus_open(&one, ctx, &whole, 65536), PEER_OK);
    cr_assert_eq(lm_corpus_open(&many, ctx, &parts, 65536), PEER_OK);
    cr_expect_eq(lm_corpus_crc(one), lm_corpus_crc(many));
    lm_corpus_batch(one, a[0], a[1], B, S, SEED, 11);
    lm_corpus_batch(many, b[0], b[1], B, S, SEED, 11);
    cr_expect_arr_eq(a, b, sizeof a);
    lm_corpus_window(one, a[0], a[1], B, S, 2);
    lm_corpus_window(many, b[0], b[1], B, S, 2);
    cr_expect_arr_eq(a, b, sizeof a);
    lm_corpus_close(&one);
    lm_corpus_close(&many);
}

static void expect_folder_refused(const char *pattern, enum peer_status status, const char *word,
                                  const char *other)
{
    struct lm_dataset data;
    struct tempfile where = tempdir_file(&dir, pattern);
    const char *folder = *pattern ? where.path : dir.path;
    cr_expect_eq(lm_dataset_open(&data, ctx, folder, BIG, LM_DTYPE_AUTO), status);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, word) && strstr(error, other), "%s: without %s or %s", error, word,
              other);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

Test(token_files, shards_that_do_not_belong_together_are_refused)
{
    expect_folder_refused("", PEER_ERR_IO, "no train.bin", "data.json");
    expect_folder_refused("x_*.bin", PEER_ERR_IO, "x_*.bin", "pattern");
    write_shard("a_train_%03d.bin", 1, 0, 100);
    write_shard("b_train_%03d.bin", 1, 0, 100);
    expect_folder_refused("", PEER_ERR_FORMAT, "two sets", "a_train_*.bin");
    expect_stream("a_train_*.bin", 0, 100, 0);
    write_llmc("a_train_002.bin", 20240801, 7, COUNT, wide, sizeof wide);
    expect_folder_refused("a_train_*.bin", PEER_ERR_FORMAT, "ids of 2 bytes", "of 4");
    write_llmc("a_train_002.bin", 20240520, 1, 50, narrow, 2 * 49);
    expect_folder_refused("a_train_*.bin", PEER_ERR_FORMAT, "a_train_002.bin", "50 tokens");
    write_shard("a_train_%03d.bin", 2, 100, 100);
    write_file("a_train_003.bin", "\x8a\xd8\x34\x01", 4, narrow, 1020);
    expect_folder_refused("a_train_*.bin", PEER_ERR_FORMAT, "a_train_003.bin", "evaluation file");
}
