/* SPDX-License-Identifier: MIT */
#include "experiments/facts/describe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/facts/grammar.h"
#include "lm/json.h"
#include "nn/file.h"

enum { VERSION = 1, PATH_BYTES = 4096, MAX_FILE = 1 << 20 };

static json_t *description(const struct lab_facts *facts, const struct lab_facts_text *text)
{
    const struct lab_facts_config *c = &facts->config;
    struct lab_facts_entropy entropy = lab_facts_entropy(c);
    return json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
        " s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}",
        "format", "peerlab-facts", "version", VERSION, "people", (json_int_t)c->people,
        "attributes", (json_int_t)c->attributes, "values", (json_int_t)c->values, "templates",
        (json_int_t)c->templates, "names", (json_int_t)c->names, "seed", (json_int_t)c->seed,
        "facts", (json_int_t)facts->count, "table_crc32", (json_int_t)lab_facts_crc(facts),
        "table_bits", entropy.table_bits, "names_bits", entropy.names_bits, "sentence_bits",
        entropy.sentence_bits, "value_bits", entropy.value_bits, "round_bits", entropy.round_bits,
        "sentence_tokens", entropy.sentence_tokens, "exposure_tokens", entropy.exposure_tokens,
        "known_nats_per_token", entropy.known_nats, "unknown_nats_per_token", entropy.unknown_nats,
        "exposures", (json_int_t)text->exposures, "train_tokens", (json_int_t)text->train_tokens,
        "valid_sentences", (json_int_t)text->valid_sentences, "valid_tokens",
        (json_int_t)text->valid_tokens);
}

enum peer_status lab_facts_describe(struct peer_ctx *ctx, const char *path,
                                    const struct lab_facts *facts,
                                    const struct lab_facts_text *text)
{
    lm_json_watch();
    json_t *object = description(facts, text);
    if (!object || lm_json_failed())
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    FILE *file = lab_output_stream(path);
    bool written = file && json_dumpf(object, file, JSON_INDENT(2)) == 0 && !lm_json_failed() &&
                   fputc('\n', file) != EOF && fflush(file) == 0 && !ferror(file) &&
                   fsync(fileno(file)) == 0;
    int error = errno;
    if (file)
        fclose(file);
    json_decref(object);
    return written ? PEER_OK
                   : peer_fail(ctx, PEER_ERR_IO, "%s: cannot write: %s", path, strerror(error));
}

static enum peer_status read_integer(int64_t *ret, struct peer_ctx *ctx, const char *path,
                                     const json_t *object, const char *name)
{
    const json_t *field = json_object_get(object, name);
    if (!json_is_integer(field))
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s: expected an integer", path, name);
    *ret = json_integer_value(field);
    return PEER_OK;
}

static enum peer_status check_format(struct peer_ctx *ctx, const char *path, const json_t *object)
{
    int64_t version = 0;
    const char *format = json_string_value(json_object_get(object, "format"));
    if (!format || strcmp(format, "peerlab-facts") != 0)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: format: expected \"peerlab-facts\"", path);
    enum peer_status status = read_integer(&version, ctx, path, object, "version");
    if (status == PEER_OK && version != VERSION)
        status = peer_fail(ctx, PEER_ERR_FORMAT, "%s: version %lld, this program reads version %d",
                           path, (long long)version, VERSION);
    return status;
}

/* Draws the table that the description stands for. */
static enum peer_status draw(struct lab_facts **ret, struct peer_ctx *ctx, const char *path,
                             const json_t *object)
{
    struct lab_facts_config c = {0};
    int64_t crc = 0;
    const struct {
        const char *name;
        int64_t *value;
    } fields[] = {{"people", &c.people},       {"attributes", &c.attributes}, {"values", &c.values},
                  {"templates", &c.templates}, {"names", &c.names},           {"seed", &c.seed},
                  {"table_crc32", &crc}};
    enum peer_status status = check_format(ctx, path, object);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && status == PEER_OK; i++)
        status = read_integer(fields[i].value, ctx, path, object, fields[i].name);
    if (status != PEER_OK)
        return status;
    struct lab_facts *facts = NULL;
    status = lab_facts_create(&facts, ctx, &c);
    if (status == PEER_ERR_ARGUMENT) { /* not the caller's: the file's */
        char reason[256];
        snprintf(reason, sizeof reason, "%s", peer_ctx_error(ctx));
        status = peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s", path, reason);
    }
    if (status != PEER_OK)
        return status;
    if (lab_facts_crc(facts) == crc) {
        *ret = facts;
        return PEER_OK;
    }
    status = peer_fail(ctx, PEER_ERR_FORMAT,
                       "%s: table_crc32 = %lld, but the table drawn from these numbers has %lld",
                       path, (long long)crc, (long long)lab_facts_crc(facts));
    lab_facts_destroy(&facts);
    return status;
}

enum peer_status lab_facts_open(struct lab_facts **ret, struct peer_ctx *ctx, const char *folder)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/facts.json", folder);
    bool there;
    json_t *object = NULL;
    enum peer_status status = peer_file_there(&there, ctx, NULL, path);
    if (status != PEER_OK)
        return status;
    if (!there) {
        *ret = NULL;
        return PEER_OK;
    }
    status = lm_json_open(&object, ctx, NULL, path, MAX_FILE, JSON_REJECT_DUPLICATES);
    if (status == PEER_OK)
        status = draw(ret, ctx, path, object);
    json_decref(object);
    return status;
}

void lab_facts_print(FILE *file, const struct lab_facts_config *c)
{
    struct lab_facts_entropy entropy = lab_facts_entropy(c);
    char round[24];
    double facts = (double)c->people * (double)c->attributes;
    lab_format_count(round, sizeof round, entropy.exposure_tokens);
    fprintf(file,
            "%-10s %lld people x %lld attributes, each one of %lld values: %.0f facts, %.1f bits\n",
            "facts", (long long)c->people, (long long)c->attributes, (long long)c->values, facts,
            entropy.table_bits);
    fprintf(file, "%-10s %lld of %lld x %lld: %.1f bits besides\n", "names", (long long)c->people,
            (long long)c->names, (long long)c->names, entropy.names_bits);
    fprintf(file,
            "%-10s %lld templates, %.2f tokens on average; %.3f bits knowing every fact, %.3f more "
            "knowing none\n",
            "sentences", (long long)c->templates, entropy.sentence_tokens, entropy.sentence_bits,
            entropy.value_bits);
    fprintf(file, "%-10s %.4f nats per token knowing every fact, %.4f knowing none\n", "loss",
            entropy.known_nats, entropy.unknown_nats);
    fprintf(file, "%-10s %s tokens to meet every fact once\n", "exposure", round);
}

void lab_facts_print_score(FILE *file, const struct lab_facts_score *score)
{
    if (score->asked == 0)
        return;
    fprintf(file, "  facts: %.1f of %.1f bits learned (%.2f %%)", score->bits, score->bits_total,
            100 * score->bits / score->bits_total);
    if (score->bits_error > 0)
        fprintf(file, ", standard error %.1f from asking %lld of %lld facts", score->bits_error,
                (long long)score->asked, (long long)score->facts);
    fprintf(file, "; %.1f with no fact below 0; %.2f %% of the values right\n", score->bits_clipped,
            100 * score->accuracy);
}
