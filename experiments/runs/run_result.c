/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/base/text.h"
#include "experiments/report/csv.h"
#include "experiments/runs/run.h"
#include "lm/json.h"
#include "nn/file.h"

char *lab_read_bytes(struct peer_ctx *ctx, const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    long length = -1;
    if (file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0)
        rewind(file);
    char *bytes = length >= 0 && length <= LAB_FILE_MOST ? malloc((size_t)length + 1) : NULL;
    if (length > LAB_FILE_MOST)
        peer_fail(ctx, PEER_ERR_FORMAT, "%s: bytes = %ld, expected at most %d", path, length,
                  LAB_FILE_MOST);
    else if (!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
        free(bytes);
        bytes = NULL;
    } else {
        bytes[length] = 0;
        *size = (size_t)length;
    }
    if (file)
        fclose(file);
    return bytes;
}

char *lab_read_file(struct peer_ctx *ctx, const char *path)
{
    size_t size;
    return lab_read_bytes(ctx, path, &size);
}

enum peer_status lab_run_finished(bool *ret, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/result.json", folder);
    return peer_file_there(ret, ctx, NULL, path);
}

/* JSON has no NaN: null stands for it. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *stats_json(const struct lm_usage_stats *stats)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "used", number(stats->used), "unevenness",
                     number(stats->unevenness), "gini", number(stats->gini), "hold50",
                     number(stats->hold50), "hold90", number(stats->hold90), "hold99",
                     number(stats->hold99));
}

static json_t *load_json(const struct lm_usage_load *load)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "entropy", number(load->entropy), "entropy_share",
                     number(load->entropy_share), "cv", number(load->cv), "peak",
                     number(load->peak), "dropped", number(load->dropped), "unserved",
                     number(load->unserved));
}

static json_t *usage_json(const struct lab_usage *usage)
{
    return json_pack("{s:I,s:I,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "block", (json_int_t)usage->block,
                     "experts", (json_int_t)usage->experts, "side", (json_int_t)usage->side, "map",
                     usage->map, "score", stats_json(&usage->report.score), "count",
                     stats_json(&usage->report.count), "load", load_json(&usage->report.load),
                     "top1_used", number(usage->report.top1_used), "head_overlap",
                     number(usage->report.head_overlap), "expected_used",
                     number(usage->report.expected_used));
}

/* The fields that only runs on facts have. */
static void add_facts(json_t *object, const struct lab_facts_score *facts)
{
    if (facts->asked == 0)
        return;
    json_object_set_new(object, "facts", json_integer((json_int_t)facts->facts));
    json_object_set_new(object, "facts_asked", json_integer((json_int_t)facts->asked));
    json_object_set_new(object, "facts_bits", number(facts->bits));
    json_object_set_new(object, "facts_bits_error", number(facts->bits_error));
    json_object_set_new(object, "facts_bits_clipped", number(facts->bits_clipped));
    json_object_set_new(object, "facts_bits_total", number(facts->bits_total));
    json_object_set_new(object, "facts_accuracy", number(facts->accuracy));
}

/* What was passed over for not being finite; nothing in most runs. */
static void add_skipped(json_t *object, const struct lab_result *r)
{
    if (r->skipped)
        json_object_set_new(object, "skipped_steps", json_integer((json_int_t)r->skipped));
    if (r->skipped_statistics)
        json_object_set_new(object, "skipped_statistics",
                            json_integer((json_int_t)r->skipped_statistics));
}

/* Which text it was trained on. */
static void add_text(json_t *object, const struct lab_text_mark *text)
{
    if (!*text->crc32)
        return;
    json_object_set_new(object, "text",
                        json_pack("{s:I,s:s,s:s}", "tokens", (json_int_t)text->tokens, "crc32",
                                  text->crc32, "vocabulary", text->vocabulary));
}

static json_t *result_json(const struct lab_result *r)
{
    json_t *usages = json_array();
    for (int i = 0; i < r->usages; i++)
        json_array_append_new(usages, usage_json(&r->usage[i]));
    json_t *object = json_pack(
        "{s:s,s:i,s:s,s:s,s:o,s:I,s:I,s:I,s:s,s:s,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:i,"
        "s:o,s:I,s:s}",
        "format", "peerlab-result", "version", 1, "variant", r->variant, "ffw", r->ffw, "budget",
        number(r->budget), "width", (json_int_t)r->width, "blocks", (json_int_t)r->blocks, "seed",
        (json_int_t)r->seed, "state", lab_state_names[r->state], "message", r->message,
        "params_total", (json_int_t)r->params_total, "params_active", (json_int_t)r->params_active,
        "tokens", (json_int_t)r->tokens, "flops", number(r->flops), "bytes_per_token",
        number(r->bytes_per_token), "seconds", number(r->seconds), "nats", number(r->nats),
        "perplexity", number(r->perplexity), "bits_per_byte", number(r->bits_per_byte),
        "peak_bytes", (json_int_t)r->peak_bytes, "epochs", number(r->epochs), "traits",
        (int)r->traits, "usage", usages, "params_frozen", (json_int_t)r->params_frozen, "freeze",
        r->freeze);
    add_facts(object, &r->facts);
    add_skipped(object, r);
    add_text(object, &r->text);
    return object;
}

enum peer_status lab_run_result_write(struct peer_ctx *ctx, const char *folder,
                                      const struct lab_result *result)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/result.json", folder);
    lm_json_watch();
    json_t *json = result_json(result);
    char *text = lm_json_text(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(json);
    if (!text)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    enum peer_status status = lab_write_file(ctx, path, text, strlen(text));
    free(text);
    return status;
}

enum peer_status lab_usage_map_write(struct peer_ctx *ctx, const char *folder, const char *name,
                                     const struct lm_usage *usage)
{
    char path[LAB_PATH];
    size_t size = 0;
    struct lab_memory memory;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!lab_memory_open(&memory))
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    int64_t columns = usage->side ? usage->side : usage->experts;
    for (int64_t i = 0; i < usage->experts; i++)
        fprintf(memory.file, "%lld%c", (long long)usage->count[i], (i + 1) % columns ? ' ' : '\n');
    char *text = lab_memory_close(&memory, &size);
    enum peer_status status =
        text ? lab_write_file(ctx, path, text, size)
             : peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    free(text);
    return status;
}

static void print_lorenz(FILE *file, double (*shares)[LM_LORENZ_POINTS])
{
    fputs("experts_share,score_share,count_share\n", file);
    for (int point = 0; point < LM_LORENZ_POINTS; point++) {
        struct lab_csv row = {file, false};
        lab_csv_number(&row, point / (LM_LORENZ_POINTS - 1.0));
        lab_csv_number(&row, shares[0][point]);
        lab_csv_number(&row, shares[1][point]);
        lab_csv_end(&row);
    }
}

enum peer_status lab_usage_lorenz_write(struct peer_ctx *ctx, const char *folder, int64_t block,
                                        const struct lm_usage *usage)
{
    char path[LAB_PATH], *text = NULL;
    size_t size = 0;
    double shares[2][LM_LORENZ_POINTS], *mass = malloc((size_t)usage->experts * sizeof *mass);
    snprintf(path, sizeof path, "%s/usage-%lld-lorenz.csv", folder, (long long)block);
    struct lab_memory memory;
    if (mass && lab_memory_open(&memory)) {
        memcpy(mass, usage->score, (size_t)usage->experts * sizeof *mass);
        lm_usage_lorenz(shares[0], mass, usage->experts);
        for (int64_t i = 0; i < usage->experts; i++)
            mass[i] = (double)usage->count[i];
        lm_usage_lorenz(shares[1], mass, usage->experts);
        print_lorenz(memory.file, shares);
        text = lab_memory_close(&memory, &size);
    }
    enum peer_status status =
        text ? lab_write_file(ctx, path, text, size)
             : peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    free(text);
    free(mass);
    return status;
}

static double real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int64_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void text_of(char *text, size_t size, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    lab_text_cut(text, size, value ? value : "");
}

static void stats_from(struct lm_usage_stats *stats, const json_t *json)
{
    *stats = (struct lm_usage_stats){.used = real(json, "used"),
                                     .unevenness = real(json, "unevenness"),
                                     .gini = real(json, "gini"),
                                     .hold50 = real(json, "hold50"),
                                     .hold90 = real(json, "hold90"),
                                     .hold99 = real(json, "hold99")};
}

/* NaN throughout where an older program wrote the file, without loads. */
static void load_from(struct lm_usage_load *load, const json_t *json)
{
    *load = (struct lm_usage_load){.entropy = real(json, "entropy"),
                                   .entropy_share = real(json, "entropy_share"),
                                   .cv = real(json, "cv"),
                                   .peak = real(json, "peak"),
                                   .dropped = real(json, "dropped"),
                                   .unserved = real(json, "unserved")};
}

static void usage_from(struct lab_usage *usage, const json_t *json)
{
    usage->block = integer(json, "block");
    usage->experts = integer(json, "experts");
    usage->side = integer(json, "side");
    text_of(usage->map, sizeof usage->map, json, "map");
    stats_from(&usage->report.score, json_object_get(json, "score"));
    stats_from(&usage->report.count, json_object_get(json, "count"));
    load_from(&usage->report.load, json_object_get(json, "load"));
    usage->report.top1_used = real(json, "top1_used");
    usage->report.head_overlap = real(json, "head_overlap");
    usage->report.expected_used = real(json, "expected_used");
}

/* All 0 where the run's text was none of facts. */
static void facts_from(struct lab_facts_score *facts, const json_t *json)
{
    if (integer(json, "facts_asked") < 1)
        return;
    *facts = (struct lab_facts_score){.facts = integer(json, "facts"),
                                      .asked = integer(json, "facts_asked"),
                                      .bits = real(json, "facts_bits"),
                                      .bits_error = real(json, "facts_bits_error"),
                                      .bits_clipped = real(json, "facts_bits_clipped"),
                                      .bits_total = real(json, "facts_bits_total"),
                                      .accuracy = real(json, "facts_accuracy")};
}

static void result_from(struct lab_result *r, const json_t *json)
{
    text_of(r->variant, sizeof r->variant, json, "variant");
    text_of(r->ffw, sizeof r->ffw, json, "ffw");
    text_of(r->message, sizeof r->message, json, "message");
    r->skipped = integer(json, "skipped_steps");
    r->skipped_statistics = integer(json, "skipped_statistics");
    r->budget = real(json, "budget");
    r->width = integer(json, "width");
    r->blocks = integer(json, "blocks");
    r->seed = integer(json, "seed");
    r->params_total = integer(json, "params_total");
    r->params_active = integer(json, "params_active");
    r->tokens = integer(json, "tokens");
    r->flops = real(json, "flops");
    r->bytes_per_token = real(json, "bytes_per_token");
    r->seconds = real(json, "seconds");
    r->nats = real(json, "nats");
    r->perplexity = real(json, "perplexity");
    r->bits_per_byte = real(json, "bits_per_byte");
    r->peak_bytes = integer(json, "peak_bytes");
    r->epochs = real(json, "epochs");
    r->traits = (unsigned)integer(json, "traits");
    r->params_frozen = integer(json, "params_frozen");
    facts_from(&r->facts, json);
    text_of(r->freeze, sizeof r->freeze, json, "freeze");
    const json_t *text = json_object_get(json, "text");
    r->text.tokens = integer(text, "tokens");
    text_of(r->text.crc32, sizeof r->text.crc32, text, "crc32");
    text_of(r->text.vocabulary, sizeof r->text.vocabulary, text, "vocabulary");
}

/* Index of the state's name, or -1. */
static int state_from(const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "state"));
    for (int state = 0; name && state < LAB_STATE_COUNT; state++)
        if (strcmp(lab_state_names[state], name) == 0)
            return state;
    return -1;
}

/* The first number or path that no run can have, or NULL: a result may come from anywhere, and
 * reports allocate and open files by it. */
static const char *impossible(const struct lab_result *r)
{
    if (r->params_total < 0 || r->params_active < 0 || r->params_frozen < 0)
        return "the number of parameters";
    if (r->tokens < 0 || r->peak_bytes < 0)
        return "the number of tokens or bytes";
    for (int i = 0; i < r->usages; i++) {
        const struct lab_usage *usage = &r->usage[i];
        if (usage->block < 0 || usage->block >= LM_MAX_BLOCKS)
            return "the number of a block";
        if (usage->experts < 1 || usage->experts > INT32_MAX || usage->side < 0 ||
            usage->side > 65536 || (usage->side && usage->side * usage->side != usage->experts))
            return "the number of experts";
        if (strchr(usage->map, '/'))
            return "the name of a map";
    }
    return NULL;
}

static enum peer_status from_json(struct lab_result *ret, struct peer_ctx *ctx, const char *path,
                                  const json_t *json)
{
    const char *format = json_string_value(json_object_get(json, "format"));
    int state = state_from(json);
    if (!format || strcmp(format, "peerlab-result") != 0 || state < 0)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: not a result of peerlab", path);
    if (integer(json, "version") != 1)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: version %lld, this program reads version 1; use a newer peerlab",
                         path, (long long)integer(json, "version"));
    const json_t *usages = json_object_get(json, "usage");
    if (json_array_size(usages) > LM_MAX_BLOCKS)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: usage of %zu blocks, at most %d", path,
                         json_array_size(usages), LM_MAX_BLOCKS);
    struct lab_result result = {.state = (enum lab_state)state};
    result_from(&result, json);
    result.usages = (int)json_array_size(usages);
    result.usage = calloc((size_t)result.usages + 1, sizeof *result.usage);
    if (!result.usage)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    for (int i = 0; i < result.usages; i++)
        usage_from(&result.usage[i], json_array_get(usages, (size_t)i));
    const char *wrong = impossible(&result);
    if (wrong) {
        lab_result_free(&result);
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s is none that peerlab writes", path, wrong);
    }
    *ret = result;
    return PEER_OK;
}

enum peer_status lab_run_result_parse(struct lab_result *ret, struct peer_ctx *ctx,
                                      const char *path, const char *text)
{
    json_t *json = NULL;
    enum peer_status status = lm_json_parse(&json, ctx, NULL, path, text, strlen(text), 0);
    if (status == PEER_OK)
        status = from_json(ret, ctx, path, json);
    json_decref(json);
    return status;
}

enum peer_status lab_run_result(struct lab_result *ret, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/result.json", folder);
    char *text = lab_read_file(ctx, path);
    if (!text)
        return PEER_ERR_IO;
    enum peer_status status = lab_run_result_parse(ret, ctx, path, text);
    free(text);
    return status;
}

void lab_result_free(struct lab_result *result)
{
    free(result->usage);
    result->usage = NULL;
    result->usages = 0;
}
