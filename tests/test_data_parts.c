/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/data/data_spool.h"
#include "experiments/data/data_words.h"
#include "experiments/data/synthetic.h"
#include "experiments/data/text_utf8.h"
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

TestSuite(parts, .init = setup, .fini = teardown);

/* Over many seeds, any number of documents from 2 on leaves one in each split at least, and the
 * share is met on average: with 500 documents and share 0.1, 30 seeds hold out 1500 of 15000, of
 * which the standard deviation is 37. */
Test(parts, every_split_has_a_document)
{
    static const int sizes[] = {2, 3, 7, 500};
    for (size_t k = 0; k < 4; k++) {
        int64_t held_out = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct tempfile path = tempdir_file(&place.dir, "spool");
            struct lab_spool spool;
            struct lab_spool_cursor cursor = {0};
            struct lab_slice slice;
            int64_t documents[LAB_SPLITS] = {0, 0};
            cr_assert_eq(lab_spool_create(&spool, place.ctx, path.path), PEER_OK);
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

/* Words that occur often stay when the table is thinned; counts of those that stayed throughout are
 * exact. */
Test(parts, thinning_keeps_frequent_words)
{
    enum { CAPACITY = 256 };
    struct lab_words words;
    cr_assert_eq(lab_words_create(&words, place.ctx, CAPACITY), PEER_OK);
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
Test(parts, synthetic_text_is_a_function_of_its_seed)
{
    char *texts[3];
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%d", i);
        struct tempfile out = tempdir_file(&place.dir, name);
        struct lab_synthetic_options options = {
            .out = out.path, .bytes = 50000, .seed = i < 2 ? 7 : 8};
        struct lab_synthetic_report report;
        cr_assert_eq(lab_synthetic_make(&report, place.ctx, &options, &work), PEER_OK, "%s",
                     peer_ctx_error(place.ctx));
        cr_expect(report.bytes >= 50000 && report.bytes < 60000);
        cr_expect(report.bits / (double)report.bytes > 0.3 &&
                  report.bits / (double)report.bytes < 1);
        snprintf(name, sizeof name, "s%d/synthetic.jsonl", i);
        struct tempfile file = tempdir_file(&place.dir, name);
        texts[i] = tempfile_read(&file, &sizes[i]);
    }
    cr_expect(sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0);
    cr_expect(sizes[0] != sizes[2] || memcmp(texts[0], texts[2], sizes[0]) != 0);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

/* Repairs in parts of the given size. */
static int64_t repair(uint8_t *out, const uint8_t *in, int64_t count, int64_t part,
                      int64_t *repaired)
{
    struct lab_utf8 state = {.count = 0};
    int64_t size = 0;
    for (int64_t at = 0; at < count; at += part)
        size += lab_utf8_repair(&state, out + size, in + at, count - at < part ? count - at : part);
    size += lab_utf8_end(&state, out + size);
    *repaired = state.repaired;
    return size;
}

/* The Unicode Standard 15, table 3-8 and its neighbours. */
Test(parts, utf8_is_repaired_by_maximal_subparts)
{
    static const struct {
        const char *in, *out;
        int64_t repaired;
    } cases[] = {
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "########A", 8},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "########A", 8},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "#####A##B", 7},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "####A", 4},
        {"a\xe2\x82", "a#", 1},
        {"\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9", "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int64_t part = 1; part < 12; part++) {
            uint8_t out[64], expected[64];
            int64_t repaired, size = 0;
            for (const char *at = cases[i].out; *at; at++) {
                int64_t more = *at == '#' ? 3 : 1;
                memcpy(expected + size, *at == '#' ? "\xef\xbf\xbd" : at, (size_t)more);
                size += more;
            }
            int64_t got = repair(out, (const uint8_t *)cases[i].in, (int64_t)strlen(cases[i].in),
                                 part, &repaired);
            cr_expect_eq(got, size, "case %zu, part %lld", i, (long long)part);
            cr_expect(memcmp(out, expected, (size_t)size) == 0, "case %zu", i);
            cr_expect_eq(repaired, cases[i].repaired, "case %zu: %lld", i, (long long)repaired);
        }
}

/* Any bytes: repairing is idempotent, does not depend on the parts, and leaves ASCII alone. */
Test(parts, repaired_text_needs_no_repair)
{
    enum { COUNT = 5000 };
    uint8_t in[COUNT], once[3 * COUNT + 16], twice[9 * COUNT + 64];
    for (uint64_t seed = 0; seed < 20; seed++) {
        int64_t repaired, again, letters[2] = {0, 0};
        for (int i = 0; i < COUNT; i++) {
            uint32_t bits = peer_random_bits(seed, 5, (uint64_t)i);
            in[i] = (uint8_t)(bits % 3 ? bits >> 24 : 0x80 | (bits >> 25));
            letters[0] += in[i] < 0x80;
        }
        int64_t size = repair(once, in, COUNT, COUNT, &repaired);
        int64_t parts = repair(twice, in, COUNT, 1 + (int64_t)seed, &again);
        cr_expect_eq(parts, size);
        cr_expect_eq(again, repaired);
        cr_expect(memcmp(once, twice, (size_t)size) == 0, "seed %llu", (unsigned long long)seed);
        cr_expect_gt(repaired, 0);
        for (int64_t i = 0; i < size; i++)
            letters[1] += once[i] < 0x80;
        cr_expect_eq(letters[1], letters[0]);
        cr_expect_eq(repair(twice, once, size, 7, &again), size);
        cr_expect_eq(again, 0);
        cr_expect(memcmp(once, twice, (size_t)size) == 0);
    }
}

/* Arithmetic on NULL is undefined, and memchr() and memcpy() want an address. */
Test(parts, an_empty_buffer_has_an_address)
{
    struct lab_buffer buffer = lab_buffer_create(NULL);
    cr_expect_not_null(buffer.bytes);
    cr_expect_eq(buffer.count, 0);
    lab_buffer_free(&buffer);
    cr_expect_not_null(buffer.bytes);
}
