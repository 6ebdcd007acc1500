/* SPDX-License-Identifier: MIT */
#include "experiments/facts/table.h"

#include <math.h>
#include <zlib.h>

#include "experiments/facts/grammar.h"
#include "nn/random.h"

struct lab_facts_config lab_facts_config_default(void)
{
    return (struct lab_facts_config){.people = 1000,
                                     .attributes = 5,
                                     .values = 256,
                                     .templates = LAB_FACTS_TEMPLATES,
                                     .seed = 1};
}

static enum peer_status check_range(struct peer_ctx *ctx, const char *what, int64_t value,
                                    int64_t low, int64_t high)
{
    if (value >= low && value <= high)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT, "facts: %s = %lld, expected %lld ... %lld", what,
                     (long long)value, (long long)low, (long long)high);
}

static enum peer_status check_ranges(const struct lab_facts_config *config, struct peer_ctx *ctx)
{
    const struct {
        const char *what;
        int64_t value, low, high;
    } ranges[] = {{"people", config->people, 1, LAB_FACTS_CELLS},
                  {"attributes", config->attributes, 1, LAB_FACTS_ATTRIBUTES},
                  {"values", config->values, 2, LAB_FACTS_VALUES},
                  {"templates", config->templates, 1, LAB_FACTS_TEMPLATES},
                  {"names", config->names, 0, LAB_FACTS_NAMES},
                  {"seed", config->seed, 0, INT64_MAX}};
    enum peer_status status = PEER_OK;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && status == PEER_OK; i++)
        status = check_range(ctx, ranges[i].what, ranges[i].value, ranges[i].low, ranges[i].high);
    return status;
}

enum peer_status lab_facts_config_check(struct lab_facts_config *config, struct peer_ctx *ctx)
{
    enum peer_status status = check_ranges(config, ctx);
    if (status != PEER_OK)
        return status;
    int64_t people = config->people, cells = people * config->attributes;
    if (config->names == 0)
        config->names = (int64_t)ceil(2 * sqrt((double)people));
    int64_t names = config->names, words = lab_facts_vocabulary(config);
    if (people > names * names)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: people = %lld, but names = %lld make %lld x %lld = %lld names",
                         (long long)people, (long long)names, (long long)names, (long long)names,
                         (long long)(names * names));
    if (cells > LAB_FACTS_CELLS)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: people x attributes = %lld x %lld = %lld facts, at most %d",
                         (long long)people, (long long)config->attributes, (long long)cells,
                         LAB_FACTS_CELLS);
    if (words > LAB_FACTS_VOCABULARY)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: a vocabulary of %lld (values = %lld, names = 2 x %lld, and "
                         "%lld others), at most %d",
                         (long long)words, (long long)config->values, (long long)names,
                         (long long)(words - config->values - 2 * names), LAB_FACTS_VOCABULARY);
    return PEER_OK;
}

/* P of the M^2 names, every set of P being equally likely: Floyd's sampling, without rejection. */
static enum peer_status draw_names(struct lab_facts *facts)
{
    struct peer_pool scratch = {.ctx = facts->pool.ctx};
    int64_t people = facts->config.people, space = facts->config.names * facts->config.names;
    uint64_t seed = (uint64_t)facts->config.seed, stream = peer_stream("facts: names");
    uint8_t *taken = peer_pool_alloc(&scratch, "facts: names", 1, space / 8 + 1, 1, 1);
    for (int64_t i = 0; taken && i < people; i++) {
        int64_t last = space - people + i;
        int64_t name = peer_random_below(seed, stream, (uint64_t)i, (uint32_t)(last + 1));
        if (taken[name / 8] >> name % 8 & 1)
            name = last;
        taken[name / 8] |= (uint8_t)(1 << name % 8);
        facts->name[i] = (int32_t)name;
    }
    peer_pool_free(&scratch);
    return taken ? PEER_OK : PEER_ERR_MEMORY;
}

static void draw_values(struct lab_facts *facts)
{
    uint64_t seed = (uint64_t)facts->config.seed, stream = peer_stream("facts: values");
    for (int64_t i = 0; i < facts->count; i++)
        facts->value[i] =
            (uint16_t)peer_random_below(seed, stream, (uint64_t)i, (uint32_t)facts->config.values);
}

enum peer_status lab_facts_create(struct lab_facts **ret, struct peer_ctx *ctx,
                                  const struct lab_facts_config *config)
{
    struct lab_facts_config whole = *config;
    enum peer_status status = lab_facts_config_check(&whole, ctx);
    if (status != PEER_OK)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    int64_t count = whole.people * whole.attributes;
    struct lab_facts *facts = peer_pool_alloc(&pool, "facts", sizeof *facts, 1, 1, 1);
    int32_t *name = peer_pool_ids(&pool, "facts: names", whole.people, 1);
    uint16_t *value = peer_pool_alloc(&pool, "facts: values", sizeof *value, count, 1, 1);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    *facts = (struct lab_facts){pool, whole, count, name, value};
    draw_values(facts);
    status = draw_names(facts);
    if (status == PEER_OK)
        *ret = facts;
    else
        lab_facts_destroy(&facts);
    return status;
}

void lab_facts_destroy(struct lab_facts **facts)
{
    if (!facts || !*facts)
        return;
    struct peer_pool pool = (*facts)->pool;
    peer_pool_free(&pool);
    *facts = NULL;
}

uint32_t lab_facts_crc(const struct lab_facts *facts)
{
    size_t people = (size_t)facts->config.people, count = (size_t)facts->count;
    unsigned long crc = crc32_z(0, (const Bytef *)facts->name, people * sizeof *facts->name);
    return (uint32_t)crc32_z(crc, (const Bytef *)facts->value, count * sizeof *facts->value);
}

void lab_facts_shuffle(const struct lab_facts *facts, int32_t *order, const char *name,
                       int64_t round)
{
    uint64_t seed = (uint64_t)facts->config.seed, stream = peer_stream(name);
    uint64_t first = (uint64_t)round * (uint64_t)facts->count;
    for (int64_t i = 0; i < facts->count; i++) {
        int64_t at = peer_random_below(seed, stream, first + (uint64_t)i, (uint32_t)(i + 1));
        order[i] = order[at];
        order[at] = (int32_t)i;
    }
}
