/* SPDX-License-Identifier: MIT */
#include "experiments/runs/tokenize.h"

#include <stdio.h>

#include "experiments/base/temporary.h"
#include "experiments/cli/stop.h"
#include "experiments/data/data.h"
#include "experiments/report/stage.h"

enum peer_status lab_tokenize(struct lm_corpus **ret, struct peer_ctx *ctx, const char *data,
                              const char *input, const struct lab_document_options *documents,
                              int64_t vocab, struct lab_document_notes *notes)
{
    char folder[PATH_MAX], out[PATH_MAX + 8], bin[PATH_MAX + 24];
    enum peer_status status = lab_temporary_folder(folder, ctx);
    if (status != PEER_OK)
        return status;
    snprintf(out, sizeof out, "%s/tokens", folder);
    snprintf(bin, sizeof bin, "%s/train.bin", out);
    struct lab_data_options options = lab_data_options_default();
    struct lab_data_report report;
    struct lab_work work = {.stopped = lab_stop_asked, .show = true};
    options.out = out;
    options.inputs = &input;
    options.input_count = 1;
    options.valid_share = 0;
    options.tokenizer = data;
    options.documents = *documents;
    status = lab_data_prepare(&report, ctx, &options, &work);
    const char *path = bin;
    struct lm_corpus_source source = {&path, 1, LM_DTYPE_UINT16, true};
    if (status == PEER_OK) /* the mapping outlives the file's name */
        status = lm_corpus_open(ret, ctx, &source, vocab);
    if (status == PEER_OK)
        lab_notes_add(notes, &report.notes);
    lab_remove_tree(folder);
    return status;
}
