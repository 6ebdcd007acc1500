/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/facts/grammar.h"
#include "experiments/facts/make.h"
#include "lm/dataset.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static const struct lab_work work = {.show = false};

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

TestSuite(facts, .init = set_up, .fini = tear_down);

static struct lab_facts_config sizes(int64_t people, int64_t attributes, int64_t values,
                                     int64_t templates, int64_t names)
{
    return (struct lab_facts_config){people, attributes, values, templates, names, 3};
}

static struct lab_facts *draw(const struct lab_facts_config *config)
{
    struct lab_facts *facts = NULL;
    cr_assert_eq(lab_facts_create(&facts, ctx, config), PEER_OK, "%s", peer_ctx_error(ctx));
    return facts;
}

/* A sentence with its length in front, so that equal sentences are equal bytes. */
struct sentence {
    uint16_t length, ids[LAB_FACTS_SENTENCE];
};

static struct sentence say(const struct lab_facts *facts, int64_t fact, int template)
{
    struct sentence s = {0};
    s.length = (uint16_t)lab_facts_sentence(s.ids, facts, fact, template);
    return s;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sentence));
}

/* Entropy in bits of a uniform draw from the list, in which equal sentences may stand. */
static double entropy_of(struct sentence *list, int64_t count)
{
    double bits = 0;
    qsort(list, (size_t)count, sizeof *list, by_bytes);
    for (int64_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && by_bytes(&list[i], &list[i + n]) == 0;)
            n++;
        bits += (double)n / (double)count * log2((double)count / (double)n);
    }
    return bits;
}

/* All sentences that may come, by brute force; without the fact every value may come. */
Test(facts, entropy_of_sentences_is_that_of_their_list)
{
    const struct lab_facts_config configs[] = {sizes(3, 2, 3, 6, 2), sizes(7, 3, 2, 5, 3),
                                               sizes(1, 1, 5, 1, 1), sizes(17, 1, 33, 2, 5)};
    for (int c = 0; c < 4; c++) {
        struct lab_facts *facts = draw(&configs[c]);
        const struct lab_facts_config *config = &facts->config;
        struct lab_facts_entropy entropy = lab_facts_entropy(config);
        int64_t count = facts->count * config->templates, known = 0, unknown = 0;
        struct sentence *list = calloc((size_t)(count * config->values), sizeof *list);
        double tokens = 0;
        for (int64_t i = 0; i < count; i++, known++) {
            list[known] = say(facts, i / config->templates, (int)(i % config->templates));
            tokens += list[known].length / (double)count;
        }
        cr_expect_float_eq(entropy_of(list, known), entropy.sentence_bits, 1e-9);
        cr_expect_float_eq(tokens, entropy.sentence_tokens, 1e-9);
        cr_expect_float_eq(tokens * (double)facts->count, entropy.exposure_tokens, 1e-6);
        for (int64_t i = 0; i < count; i++)
            for (int64_t value = 0; value < config->values; value++) {
                int64_t fact = i / config->templates;
                facts->value[fact] = (uint16_t)value;
                list[unknown++] = say(facts, fact, (int)(i % config->templates));
            }
        double all = entropy_of(list, unknown);
        cr_expect_float_eq(all, entropy.sentence_bits + entropy.value_bits, 1e-9);
        cr_expect_float_eq(entropy.known_nats, entropy.sentence_bits * log(2) / tokens, 1e-9);
        cr_expect_float_eq(entropy.unknown_nats, all * log(2) / tokens, 1e-9);
        free(list);
        lab_facts_destroy(&facts);
    }
}

Test(facts, entropies_by_hand)
{
    struct lab_facts_config config = sizes(3, 1, 7, 2, 2);
    struct lab_facts_entropy entropy = lab_facts_entropy(&config);
    cr_expect_float_eq(entropy.table_bits, log2(343), 1e-9, "7 x 7 x 7 tables");
    cr_expect_float_eq(entropy.names_bits, 2, 1e-9, "4 sets of 3 of 4 names");
    cr_expect_float_eq(entropy.round_bits, log2(48), 1e-9, "6 orders of 3 facts, 8 of templates");
    config = sizes(9, 2, 256, 1, 3);
    entropy = lab_facts_entropy(&config);
    cr_expect_eq(entropy.table_bits, 144);
    cr_expect_float_eq(entropy.names_bits, 0, 1e-9, "all names are taken");
}

Test(facts, names_are_unique_and_values_in_range)
{
    const struct lab_facts_config configs[] = {sizes(25, 2, 3, 6, 5), sizes(17, 7, 33, 6, 7),
                                               sizes(1, 1, 2, 1, 1), sizes(1000, 3, 300, 6, 0)};
    for (int c = 0; c < 4; c++) {
        struct lab_facts *facts = draw(&configs[c]);
        int64_t names = facts->config.names;
        bool *taken = calloc((size_t)(names * names), 1);
        for (int64_t i = 0; i < facts->config.people; i++) {
            cr_assert(facts->name[i] >= 0 && facts->name[i] < names * names);
            cr_expect(!taken[facts->name[i]], "name %d twice", facts->name[i]);
            taken[facts->name[i]] = true;
        }
        for (int64_t i = 0; i < facts->count; i++)
            cr_expect_lt(facts->value[i], facts->config.values);
        free(taken);
        lab_facts_destroy(&facts);
    }
}

/* Over many seeds each name is taken by P of M^2 tables, each value by one of V cells: within 5
 * standard deviations of the binomial. */
Test(facts, draws_are_uniform)
{
    enum { SEEDS = 2000, NAMES = 9, PEOPLE = 4, VALUES = 3 };
    int names[NAMES] = {0}, values[VALUES] = {0};
    for (int seed = 0; seed < SEEDS; seed++) {
        struct lab_facts_config config = sizes(PEOPLE, 1, VALUES, 1, 3);
        config.seed = seed;
        struct lab_facts *facts = draw(&config);
        for (int i = 0; i < PEOPLE; i++) {
            names[facts->name[i]]++;
            values[facts->value[i]]++;
        }
        lab_facts_destroy(&facts);
    }
    double p = PEOPLE / (double)NAMES, n = SEEDS, q = 1.0 / VALUES, m = SEEDS * PEOPLE;
    for (int i = 0; i < NAMES; i++)
        cr_expect_float_eq(names[i], n * p, 5 * sqrt(n * p * (1 - p)), "%d", names[i]);
    for (int i = 0; i < VALUES; i++)
        cr_expect_float_eq(values[i], m * q, 5 * sqrt(m * q * (1 - q)), "%d", values[i]);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

Test(facts, words_differ)
{
    struct lab_facts_config config = sizes(1000, LAB_FACTS_ATTRIBUTES, 20000, 6, 11000);
    cr_assert_eq(lab_facts_config_check(&config, ctx), PEER_OK);
    int64_t count = lab_facts_vocabulary(&config);
    char(*words)[LAB_FACTS_WORD] = calloc((size_t)count, sizeof *words);
    for (int64_t id = 0; id < count; id++) {
        lab_facts_word(words[id], &config, id);
        cr_expect(*words[id]);
    }
    qsort(words, (size_t)count, sizeof *words, by_text);
    for (int64_t i = 1; i < count; i++)
        cr_expect_str_neq(words[i - 1], words[i]);
    free(words);
}

static struct lab_facts_options options_for(const char *name, struct tempfile *out)
{
    struct lab_facts_options options = lab_facts_options_default();
    *out = tempdir_file(&dir, name);
    options.out = out->path;
    options.table = sizes(7, 3, 5, 6, 4);
    options.exposures = 11;
    options.valid = 200;
    return options;
}

static void make(const struct lab_facts_options *options)
{
    struct lab_facts_config config;
    struct lab_facts_text text;
    cr_assert_eq(lab_facts_make(&config, &text, ctx, options, &work), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

/* How often each fact is told by each template. */
struct telling {
    const struct lab_facts *facts;
    const struct lm_corpus *corpus;
    int64_t told[64][LAB_FACTS_TEMPLATES];
};

/* Returns the number of sentences, each of which must tell a fact. */
static int64_t count_told(struct telling *c)
{
    int64_t sentences = 0, tokens = lm_corpus_tokens(c->corpus);
    int32_t *ids = malloc((size_t)tokens * sizeof *ids);
    uint16_t *narrow = malloc((size_t)tokens * sizeof *narrow);
    lm_corpus_read(c->corpus, ids, 0, tokens);
    for (int64_t i = 0; i < tokens; i++)
        narrow[i] = (uint16_t)ids[i];
    const uint16_t *at = narrow, *end = at + tokens;
    for (; at < end; sentences++) {
        bool found = false;
        for (int64_t i = 0; i < c->facts->count * LAB_FACTS_TEMPLATES && !found; i++) {
            int template = (int)(i % LAB_FACTS_TEMPLATES);
            struct sentence s = say(c->facts, i / LAB_FACTS_TEMPLATES, template);
            found = s.length <= end - at && memcmp(at, s.ids, s.length * sizeof *at) == 0;
            if (found) {
                c->told[i / LAB_FACTS_TEMPLATES][template]++;
                at += s.length;
            }
        }
        cr_assert(found, "sentence %lld tells no fact", (long long)sentences);
    }
    free(ids);
    free(narrow);
    return sentences;
}

Test(facts, every_fact_is_told_as_often_as_asked)
{
    struct tempfile out;
    struct lab_facts_options options = options_for("out", &out);
    make(&options);
    struct lm_dataset data;
    struct lab_facts *facts = NULL;
    cr_assert_eq(lm_dataset_open(&data, ctx, out.path, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(lab_facts_open(&facts, ctx, out.path), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_not_null(facts);
    cr_expect_eq(data.vocab, lab_facts_vocabulary(&facts->config));
    struct telling train = {.facts = facts, .corpus = data.train};
    struct telling valid = {.facts = facts, .corpus = data.valid};
    cr_expect_eq(count_told(&train), options.exposures * facts->count);
    cr_expect_eq(count_told(&valid), options.valid);
    int64_t by_template[LAB_FACTS_TEMPLATES] = {0};
    for (int64_t fact = 0; fact < facts->count; fact++) {
        int64_t told = 0;
        for (int i = 0; i < LAB_FACTS_TEMPLATES; i++) {
            told += train.told[fact][i];
            by_template[i] += train.told[fact][i];
        }
        cr_expect_eq(told, options.exposures, "fact %lld: %lld", (long long)fact, (long long)told);
    }
    double n = (double)(options.exposures * facts->count), p = 1.0 / LAB_FACTS_TEMPLATES;
    for (int i = 0; i < LAB_FACTS_TEMPLATES; i++)
        cr_expect_float_eq((double)by_template[i], n * p, 5 * sqrt(n * p * (1 - p)));
    lab_facts_destroy(&facts);
    lm_dataset_close(&data);
}

Test(facts, the_vocabulary_decodes_the_text)
{
    struct tempfile out;
    struct lab_facts_options options = options_for("out", &out);
    options.table.templates = 1;
    make(&options);
    struct lm_dataset data;
    cr_assert_eq(lm_dataset_open(&data, ctx, out.path, 0, LM_DTYPE_AUTO), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    char text[256] = "";
    size_t used = 0;
    for (int i = 0; i < lab_facts_template_tokens(0); i++) {
        int64_t bytes;
        const char *piece =
            lm_vocabulary_text(data.vocabulary, lm_corpus_id(data.train, i), &bytes);
        memcpy(text + used, piece, (size_t)bytes);
        used += (size_t)bytes;
    }
    char first[32], last[32], attribute[32], value[32], stop = 0;
    cr_expect_eq(sscanf(text, " %31[A-Za-z] %31[A-Za-z]'s %31[a-z] is %31[a-z]%c", first, last,
                        attribute, value, &stop),
                 5, "%s", text);
    cr_expect_eq(stop, '.', "%s", text);
    lm_dataset_close(&data);
}

static bool same_file(const char *a, const char *b, const char *name)
{
    char path[2][300];
    size_t size[2];
    char *bytes[2];
    const char *folders[] = {a, b};
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", folders[i], name);
        struct tempfile file = tempdir_file(&dir, path[i]);
        bytes[i] = tempfile_read(&file, &size[i]);
    }
    bool same = size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

Test(facts, equal_options_give_equal_files)
{
    struct tempfile out[3];
    for (int i = 0; i < 3; i++) {
        struct lab_facts_options options = options_for((const char *[]){"a", "b", "c"}[i], &out[i]);
        options.table.seed = i < 2 ? 3 : 4;
        make(&options);
    }
    static const char *const files[] = {"train.bin", "valid.bin", "facts.json", "tokenizer.vocab"};
    for (int i = 0; i < 4; i++) {
        cr_expect(same_file("a", "b", files[i]), "%s", files[i]);
        cr_expect(i == 3 || !same_file("a", "c", files[i]), "%s of another seed", files[i]);
    }
}

Test(facts, rounds_are_in_another_order_each)
{
    enum { FACTS = 33 };
    int32_t order[3][FACTS];
    struct lab_facts_config config = sizes(11, 3, 5, 6, 0);
    struct lab_facts *facts = draw(&config);
    for (int round = 0; round < 3; round++) {
        bool seen[FACTS] = {false};
        lab_facts_shuffle(facts, order[round], round == 2 ? "b" : "a", round % 2);
        for (int i = 0; i < FACTS; i++)
            seen[order[round][i]] = true;
        for (int i = 0; i < FACTS; i++)
            cr_expect(seen[i], "%d is missing", i);
    }
    cr_expect_neq(memcmp(order[0], order[1], sizeof *order), 0);
    cr_expect_neq(memcmp(order[0], order[2], sizeof *order), 0);
    lab_facts_destroy(&facts);
}

static void refused(const struct lab_facts_options *options, const char *says)
{
    struct lab_facts_config config;
    struct lab_facts_text text;
    cr_expect_eq(lab_facts_make(&config, &text, ctx, options, &work), PEER_ERR_ARGUMENT, "%s",
                 says);
    cr_expect(strstr(peer_ctx_error(ctx), says), "%s", peer_ctx_error(ctx));
    cr_expect_eq(tempdir_count(&dir), 0);
}

Test(facts, what_cannot_be_is_refused_with_numbers)
{
    const struct {
        struct lab_facts_config table;
        const char *says;
    } cases[] = {
        {sizes(17, 1, 5, 6, 4), "people = 17, but names = 4 make 4 x 4 = 16 names"},
        {sizes(0, 1, 5, 6, 4), "people = 0, expected 1 ... 67108864"},
        {sizes(INT64_MAX, 1, 5, 6, 0), "people = 9223372036854775807, expected"},
        {sizes(3, 0, 5, 6, 0), "attributes = 0, expected 1 ... 24"},
        {sizes(3, 25, 5, 6, 0), "attributes = 25, expected 1 ... 24"},
        {sizes(3, 1, 1, 6, 0), "values = 1, expected 2 ... 60000"},
        {sizes(3, 1, INT64_MIN, 6, 0), "values = -9223372036854775808, expected"},
        {sizes(3, 1, 5, 7, 0), "templates = 7, expected 1 ... 6"},
        {sizes(3, 1, 5, 6, 30001), "names = 30001, expected 0 ... 30000"},
        {sizes(1 << 26, 2, 5, 6, 0), "67108864 x 2 = 134217728 facts, at most 67108864"},
        {sizes(3, 1, 60000, 6, 3000), "(values = 60000, names = 2 x 3000, and 14 others)"},
    };
    struct tempfile out;
    struct lab_facts_options options = options_for("out", &out);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options.table = cases[i].table;
        refused(&options, cases[i].says);
    }
    options = options_for("out", &out);
    options.table.seed = -1;
    refused(&options, "seed = -1, expected 0");
    options = options_for("out", &out);
    options.exposures = 0;
    refused(&options, "exposures = 0 of 21 facts, expected 1 ... 3272356035");
    options.exposures = INT64_MAX / 2;
    refused(&options, "exposures = 4611686018427387903 of 21 facts");
    options.exposures = 1;
    options.valid = 0;
    refused(&options, "0 held-out sentences, expected 1 ... 68719476736");
}

static bool stopped_at_once(void *user)
{
    (void)user;
    return true;
}

Test(facts, a_stop_leaves_nothing)
{
    struct tempfile out;
    struct lab_facts_config config;
    struct lab_facts_text text;
    struct lab_facts_options options = options_for("out", &out);
    const struct lab_work stopped = {.stopped = stopped_at_once};
    cr_expect_eq(lab_facts_make(&config, &text, ctx, &options, &stopped), PEER_ERR_STOPPED);
    cr_expect_eq(tempdir_count(&dir), 0);
}

static void replace_text(const char *from, const char *to)
{
    size_t size;
    struct tempfile file = tempdir_file(&dir, "out/facts.json");
    char *bytes = tempfile_read(&file, &size), *text = strndup(bytes, size);
    char *at = strstr(text, from);
    cr_assert_not_null(at, "%s", from);
    char whole[4096];
    int length =
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    tempfile_write(&file, whole, (size_t)length);
    free(bytes);
    free(text);
}

Test(facts, another_table_than_the_text_tells_is_refused)
{
    static const char *const changes[][3] = {
        {"\"seed\": 3", "\"seed\": 4", "table_crc32 = "},
        {"\"values\": 5", "\"values\": 1", "values = 1, expected 2 ... 60000"},
        {"\"people\": 7", "\"people\": \"7\"", "people: expected an integer"},
        {"peerlab-facts", "peerlab-fact", "format: expected \"peerlab-facts\""},
        {"\"version\": 1", "\"version\": 2", "version 2, this program reads version 1"},
        {"{", "[", "facts.json:"}};
    struct tempfile out;
    struct lab_facts_options options = options_for("out", &out);
    options.force = true;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct lab_facts *facts = NULL;
        make(&options);
        replace_text(changes[i][0], changes[i][1]);
        cr_expect_eq(lab_facts_open(&facts, ctx, out.path), PEER_ERR_FORMAT, "%s", changes[i][1]);
        cr_expect(strstr(peer_ctx_error(ctx), "out/facts.json:"), "%s", peer_ctx_error(ctx));
        cr_expect(strstr(peer_ctx_error(ctx), changes[i][2]), "%s", peer_ctx_error(ctx));
        cr_expect_null(facts);
    }
    struct lab_facts *none = NULL;
    cr_expect_eq(lab_facts_open(&none, ctx, dir.path), PEER_OK);
    cr_expect_null(none, "a folder without facts.json");
}
