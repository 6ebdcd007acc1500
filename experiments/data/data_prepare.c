/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/data/data.h"
#include "experiments/data/data_describe.h"
#include "experiments/data/data_folder.h"
#include "experiments/data/data_tokenizer.h"
#include "experiments/data/text_inputs.h"

struct lab_data_options lab_data_options_default(void)
{
    return (struct lab_data_options){.valid_share = 0.02, .seed = 1, .vocab = 4096, .model = "bpe"};
}

/* All that one call works with. */
struct work_place {
    struct peer_ctx *ctx;
    const struct lab_data_options *options;
    const struct lab_work *work;
    struct lab_folder folder;
    struct lab_inputs inputs[LAB_SPLITS];
    struct lab_spool spool;
    struct lab_bin bins[LAB_SPLITS];
    struct lab_data_report report;
    struct lab_progress progress;
    int64_t taken; /* bytes of the files before the present one */
};

static enum peer_status check(struct peer_ctx *ctx, const struct lab_data_options *options)
{
    if (options->input_count < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "no input was named");
    if (!(options->valid_share >= 0 && options->valid_share <= 0.5))
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "the share held out is %g, expected 0 ... 0.5",
                         options->valid_share);
    if (options->vocab != 0 && (options->vocab < LAB_VOCAB_MIN || options->vocab > LAB_VOCAB_MAX))
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "the vocabulary is %lld, expected %d ... %d",
                         (long long)options->vocab, LAB_VOCAB_MIN, LAB_VOCAB_MAX);
    if (strcmp(options->model, "bpe") != 0 && strcmp(options->model, "unigram") != 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "the tokenizer's model is \"%s\", expected bpe or unigram",
                         options->model);
    return PEER_OK;
}

static enum peer_status take_text(void *user, const uint8_t *bytes, int64_t count)
{
    struct work_place *place = user;
    enum peer_status status = lab_work_check(place->ctx, place->work);
    return status == PEER_OK ? lab_spool_text(&place->spool, bytes, count) : status;
}

static enum peer_status take_end(void *user)
{
    struct work_place *place = user;
    return lab_spool_end_document(&place->spool);
}

static void take_progress(void *user, int64_t bytes)
{
    struct work_place *place = user;
    if (place->work->show)
        lab_progress_update(&place->progress, (double)(place->taken + bytes), NULL);
}

static enum peer_status read_inputs(struct work_place *place, int split)
{
    const struct lab_inputs *inputs = &place->inputs[split];
    struct lab_document_sink sink = {
        .text = take_text, .end = take_end, .taken = take_progress, .user = place};
    enum peer_status status = PEER_OK;
    place->taken = 0;
    lab_progress_start(&place->progress, "reading text", "bytes", (double)inputs->bytes, 0);
    for (const char *path = NULL; status == PEER_OK && (path = lab_inputs_next(inputs, path));) {
        status = lab_documents_read(place->ctx, path, &place->options->documents, &sink,
                                    &place->report.notes);
        place->taken = (int64_t)place->progress.done;
    }
    lab_progress_end(&place->progress);
    place->report.files += inputs->files;
    place->report.passed_over += inputs->passed_over;
    return status;
}

static enum peer_status make_spool(struct work_place *place)
{
    char path[LAB_PATH];
    const struct lab_data_options *options = place->options;
    lab_folder_path(&place->folder, path, "text.spool");
    enum peer_status status = lab_spool_create(&place->spool, place->ctx, path);
    if (status == PEER_OK)
        status = read_inputs(place, LAB_TRAIN);
    if (status == PEER_OK && options->valid_count > 0) {
        lab_spool_hold_out(&place->spool);
        status = read_inputs(place, LAB_VALID);
    }
    if (status == PEER_OK)
        status = lab_spool_split(&place->spool, options->valid_share, options->seed);
    place->report.unit = place->spool.unit;
    place->report.empty += place->spool.empty;
    return status;
}

static enum peer_status copy_file(struct work_place *place, const char *name)
{
    char from[LAB_PATH], to[LAB_PATH], bytes[1 << 14];
    int length = snprintf(from, sizeof from, "%s/%s", place->options->tokenizer, name);
    lab_folder_path(&place->folder, to, name);
    FILE *in = length < (int)sizeof from ? fopen(from, "rbe") : NULL;
    if (!in)
        return peer_fail(place->ctx, PEER_ERR_IO, "%s: cannot open: %s", from, strerror(errno));
    FILE *out = lab_output_stream(to);
    bool done = out != NULL;
    for (size_t got; done && (got = fread(bytes, 1, sizeof bytes, in)) > 0;)
        done = fwrite(bytes, 1, got, out) == got;
    done = done && !ferror(in) && fflush(out) == 0;
    int error = errno;
    fclose(in);
    if (out)
        fclose(out);
    return done ? PEER_OK
                : peer_fail(place->ctx, PEER_ERR_IO, "%s: cannot copy to %s: %s", from, to,
                            strerror(error));
}

/* Sets the report's tokenizer and vocabulary, and brings sentencepiece's files into the folder. */
static enum peer_status make_tokenizer(struct work_place *place)
{
    const struct lab_data_options *options = place->options;
    struct lab_data_report *report = &place->report;
    enum peer_status status = PEER_OK;
    report->tokenizer = options->vocab ? "sentencepiece" : "bytes";
    report->vocab = options->vocab ? options->vocab : LAB_BYTES_VOCAB;
    if (options->tokenizer)
        status = lab_description_tokenizer(report, place->ctx, options->tokenizer);
    if (status != PEER_OK || strcmp(report->tokenizer, "bytes") == 0)
        return status;
    if (!options->tokenizer)
        return lab_tokenizer_train(place->ctx, &place->spool, place->folder.temporary,
                                   options->vocab, options->model, place->work);
    status = copy_file(place, "tokenizer.model");
    return status == PEER_OK ? copy_file(place, "tokenizer.vocab") : status;
}

static enum peer_status write_tokens(struct work_place *place)
{
    static const char *const names[] = {"train.bin", "valid.bin"};
    const struct lab_data_options *options = place->options;
    int splits = options->valid_count > 0 || options->valid_share > 0 ? LAB_SPLITS : 1;
    enum peer_status status = PEER_OK;
    for (int i = 0; i < splits && status == PEER_OK; i++) {
        char path[LAB_PATH];
        lab_folder_path(&place->folder, path, names[i]);
        status = lab_bin_create(&place->bins[i], place->ctx, path);
    }
    if (status == PEER_OK)
        status = strcmp(place->report.tokenizer, "bytes") == 0
                     ? lab_bytes_encode(place->ctx, &place->spool, place->bins, place->work)
                     : lab_tokenizer_encode(place->ctx, &place->spool, place->folder.temporary,
                                            place->bins, place->work);
    for (int i = 0; i < splits && status == PEER_OK; i++) {
        struct lab_bin *bin = &place->bins[i];
        status = lab_bin_finish(bin);
        place->report.split[i] =
            (struct lab_data_split){bin->tokens, bin->bytes, bin->documents, bin->crc};
        if (status == PEER_OK && bin->tokens < 2)
            status = peer_fail(place->ctx, PEER_ERR_ARGUMENT,
                               "the %s text makes %lld tokens, expected at least 2",
                               i == LAB_TRAIN ? "training" : "held-out", (long long)bin->tokens);
    }
    return status;
}

static void remove_scratch(const struct lab_folder *folder)
{
    static const char *const names[] = {"words.txt", "errors.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[LAB_PATH];
        lab_folder_path(folder, path, names[i]);
        unlink(path);
    }
}

static enum peer_status expand(struct work_place *place)
{
    const struct lab_data_options *options = place->options;
    enum peer_status status = lab_inputs_expand(&place->inputs[LAB_TRAIN], place->ctx,
                                                options->inputs, options->input_count);
    if (status == PEER_OK && options->valid_count > 0)
        status = lab_inputs_expand(&place->inputs[LAB_VALID], place->ctx, options->valid,
                                   options->valid_count);
    return status;
}

enum peer_status lab_data_prepare(struct lab_data_report *ret, struct peer_ctx *ctx,
                                  const struct lab_data_options *options,
                                  const struct lab_work *work)
{
    struct work_place place = {.ctx = ctx, .options = options, .work = work};
    enum peer_status status = check(ctx, options);
    if (status == PEER_OK)
        status = expand(&place);
    if (status == PEER_OK)
        status = lab_folder_create(&place.folder, ctx, options->out, LAB_DATA_DESCRIPTION,
                                   options->force);
    if (status == PEER_OK) {
        status = make_spool(&place);
        if (status == PEER_OK)
            status = make_tokenizer(&place);
        if (status == PEER_OK)
            status = write_tokens(&place);
        for (int i = 0; i < LAB_SPLITS; i++)
            lab_bin_abandon(&place.bins[i]);
        lab_spool_remove(&place.spool);
        remove_scratch(&place.folder);
        if (status == PEER_OK)
            status =
                lab_description_write(ctx, &place.folder, &place.report, options, place.inputs);
        status = lab_folder_finish(&place.folder, status);
    }
    for (int i = 0; i < LAB_SPLITS; i++)
        lab_inputs_free(&place.inputs[i]);
    if (status == PEER_OK)
        *ret = place.report;
    return status;
}
