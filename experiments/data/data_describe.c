/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_describe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "lm/dataset.h"
#include "lm/json.h"

enum { MAX_DESCRIPTION = 1 << 28 };

static const char *const split_names[] = {"train", "valid"};
static const char *const unit_names[] = {"document", "paragraphs", "lines"};

static void utc_now(char *text, size_t size)
{
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* A path as JSON, which has no bytes that are not UTF-8: those become '?'. */
static json_t *path_json(const char *path)
{
    json_t *text = json_string(path);
    if (text)
        return text;
    char plain[LAB_PATH];
    snprintf(plain, sizeof plain, "%s", path);
    for (char *at = plain; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return json_string(plain);
}

/* Adds to *status, where an input cannot be asked for its size. */
static json_t *describe_inputs(enum peer_status *status, struct peer_ctx *ctx,
                               const struct lab_inputs inputs[LAB_SPLITS])
{
    json_t *list = json_array();
    for (int split = 0; split < LAB_SPLITS; split++)
        for (const char *path = NULL; (path = lab_inputs_next(&inputs[split], path));) {
            struct stat about;
            bool file = strcmp(path, "-") != 0, known = file && stat(path, &about) == 0;
            if (file && !known && errno != ENOENT && errno != ENOTDIR)
                *status = peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
            json_array_append_new(list, json_pack("{s:o, s:I, s:s}", "path", path_json(path),
                                                  "bytes", (json_int_t)(known ? about.st_size : 0),
                                                  "given_as", split ? "held out" : "input"));
        }
    return list;
}

static json_t *describe_split(const struct lab_data_split *split)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "tokens", (json_int_t)split->tokens, "bytes",
                     (json_int_t)split->bytes, "documents", (json_int_t)split->documents, "crc32",
                     (json_int_t)split->crc);
}

enum peer_status lab_description_write(struct peer_ctx *ctx, const struct lab_folder *folder,
                                       const struct lab_data_report *report,
                                       const struct lab_data_options *options,
                                       const struct lab_inputs inputs[LAB_SPLITS])
{
    char path[LAB_PATH], created[32];
    utc_now(created, sizeof created);
    lab_folder_path(folder, path, LAB_DATA_DESCRIPTION);
    lm_json_watch();
    json_t *object =
        json_pack("{s:s, s:i, s:s, s:s, s:I, s:s, s:I, s:I}", "format", "peerlab-data", "version",
                  1, "created", created, "tokenizer", report->tokenizer, "vocab",
                  (json_int_t)report->vocab, "unit", unit_names[report->unit], "seed",
                  (json_int_t)options->seed, "repaired", (json_int_t)report->notes.repaired);
    if (report->notes.skipped > 0) {
        json_object_set_new(object, "skipped", json_integer(report->notes.skipped));
        json_object_set_new(object, "first_skipped", path_json(report->notes.first));
    }
    for (int i = 0; i < LAB_SPLITS; i++)
        if (report->split[i].tokens > 0)
            json_object_set_new(object, split_names[i], describe_split(&report->split[i]));
    enum peer_status status = PEER_OK;
    json_object_set_new(object, "inputs", describe_inputs(&status, ctx, inputs));
    if (status != PEER_OK) {
        json_decref(object);
        return status;
    }
    if (!object || lm_json_failed()) {
        json_decref(object);
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    }
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

static enum peer_status read_description(json_t **ret, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/" LAB_DATA_DESCRIPTION, folder);
    *ret = NULL;
    return lm_json_open(ret, ctx, NULL, path, MAX_DESCRIPTION, 0);
}

enum peer_status lab_description_tokenizer(struct lab_data_report *report, struct peer_ctx *ctx,
                                           const char *folder)
{
    json_t *object;
    enum peer_status status = read_description(&object, ctx, folder);
    if (status != PEER_OK)
        return status;
    const char *name = json_string_value(json_object_get(object, "tokenizer"));
    report->vocab = json_integer_value(json_object_get(object, "vocab"));
    if (name && strcmp(name, "sentencepiece") == 0)
        report->tokenizer = "sentencepiece";
    else if (name && strcmp(name, "bytes") == 0)
        report->tokenizer = "bytes";
    else if (name && strcmp(name, "words") == 0)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: its text was made up of ids (tokenizer \"words\"); no other text "
                           "can be given its words",
                           folder);
    else
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "%s/%s: tokenizer: expected \"sentencepiece\" or \"bytes\"", folder,
                           LAB_DATA_DESCRIPTION);
    json_decref(object);
    return status;
}

static void print_split(FILE *file, const char *name, const json_t *split)
{
    char tokens[24], bytes[24];
    int64_t count = json_integer_value(json_object_get(split, "tokens"));
    int64_t size = json_integer_value(json_object_get(split, "bytes"));
    lab_format_count(tokens, sizeof tokens, (double)count);
    lab_format_bytes(bytes, sizeof bytes, (double)size);
    fprintf(file, "%-10s %12lld tokens (%s), %s of text, %lld documents, %.3f bytes per token\n",
            name, (long long)count, tokens, bytes,
            (long long)json_integer_value(json_object_get(split, "documents")),
            count ? (double)size / (double)count : 0);
}

enum peer_status lab_data_info(struct peer_ctx *ctx, const char *folder, FILE *file)
{
    struct lm_dataset dataset;
    json_t *object;
    enum peer_status status = read_description(&object, ctx, folder);
    if (status != PEER_OK)
        return status;
    status = lm_dataset_open(&dataset, ctx, folder, 0, LM_DTYPE_AUTO);
    if (status == PEER_OK) {
        fprintf(file, "%-10s %s\n", "folder", folder);
        fprintf(file, "%-10s %s, vocabulary %lld\n", "tokenizer",
                json_string_value(json_object_get(object, "tokenizer")), (long long)dataset.vocab);
        for (int i = 0; i < LAB_SPLITS; i++)
            if (json_object_get(object, split_names[i]))
                print_split(file, split_names[i], json_object_get(object, split_names[i]));
        const char *created = json_string_value(json_object_get(object, "created"));
        fprintf(file, "%-10s %s from %zu files\n", "made", created ? created : "?",
                json_array_size(json_object_get(object, "inputs")));
        lm_dataset_close(&dataset);
    }
    json_decref(object);
    return status;
}
