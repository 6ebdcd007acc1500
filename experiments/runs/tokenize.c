/* SPDX-License-Identifier: MIT */
#include "experiments/runs/tokenize.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/stop.h"
#include "experiments/data/data.h"
#include "experiments/report/stage.h"

enum peer_status lab_tokenize(struct lm_corpus **ret, struct peer_ctx *ctx, const char *data,
                              const char *input, const struct lab_document_options *documents,
                              int64_t vocab, struct lab_document_notes *notes)
{
    const char *base = getenv("TMPDIR");
    char folder[512], out[600], bin[620];
    snprintf(folder, sizeof folder, "%s/peerlab-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", folder, strerror(errno));
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
    enum peer_status status = lab_data_prepare(&report, ctx, &options, &work);
    const char *path = bin;
    struct lm_corpus_source source = {&path, 1, LM_DTYPE_UINT16, true};
    if (status == PEER_OK) /* the mapping outlives the file's name */
        status = lm_corpus_open(ret, ctx, &source, vocab);
    if (status == PEER_OK)
        lab_notes_add(notes, &report.notes);
    lab_remove_tree(folder);
    return status;
}
