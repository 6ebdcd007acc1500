/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_card.h"

#include <math.h>
#include <string.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/report/html.h"
#include "experiments/runs/run_result.h"

/* A row of the table, in which the text is free of markup, line ends and bytes that are no text. */
static void row(FILE *file, const char *name, const char *text)
{
    char character[5];
    fprintf(file, "| %s | ", name);
    for (int length; (length = lab_next_character(character, text)) > 0; text += length) {
        bool broken = (unsigned char)*character < ' ';
        if (!broken && strchr("|`*_<>[]\\#&", *character))
            fputc('\\', file);
        fputs(broken ? " " : character, file);
    }
    fputs(" |\n", file);
}

static void loss_row(FILE *file, const struct lab_result *r)
{
    char text[160];
    if (r->state == LAB_DIVERGED)
        snprintf(text, sizeof text, "diverged");
    else if (!isfinite(r->nats))
        snprintf(text, sizeof text, "not measured: no validation text");
    else
        snprintf(text, sizeof text, "%.4f nats per token, perplexity %.2f", r->nats, r->perplexity);
    size_t used = strlen(text);
    if (r->state == LAB_DONE && isfinite(r->bits_per_byte))
        snprintf(text + used, sizeof text - used, ", %.4f bits per byte", r->bits_per_byte);
    row(file, "validation loss", text);
}

static void print(FILE *file, const struct lab_run_card *card)
{
    const struct lab_run_config *config = card->config;
    const struct lab_result *r = card->result;
    const struct lm_dataset *data = card->data;
    char text[LAB_PATH + 256], total[24], active[24], tokens[24];
    lab_format_count(total, sizeof total, (double)r->params_total);
    lab_format_count(active, sizeof active, (double)r->params_active);
    lab_format_count(tokens, sizeof tokens, (double)r->tokens);
    fputs("# A model of peerlab\n\n| | |\n|---|---|\n", file);
    row(file, "variant", config->variant);
    snprintf(text, sizeof text, "width %lld, %lld blocks, context %lld, FFW %s",
             (long long)config->model.width, (long long)config->model.blocks,
             (long long)config->model.context, r->ffw);
    row(file, "model", text);
    snprintf(text, sizeof text, "%s, %s active per token", total, active);
    row(file, "parameters", text);
    snprintf(text, sizeof text, "%s (%s): vocabulary %lld, checksum of the training ids %08x",
             data->name, config->data, (long long)data->vocab, (unsigned)data->train_crc);
    row(file, "data", text);
    if (data->vocabulary) {
        snprintf(text, sizeof text, "checksum %08x", (unsigned)lm_vocabulary_crc(data->vocabulary));
        row(file, "vocabulary", text);
    }
    snprintf(text, sizeof text, "%s tokens (%.3g epochs), %.3g FLOPs, seed %llu", tokens, r->epochs,
             r->flops, (unsigned long long)config->train.seed);
    row(file, "trained on", text);
    snprintf(text, sizeof text, "%.3g", r->seconds);
    row(file, "seconds of training", text);
    loss_row(file, r);
    if (*config->init)
        row(file, "started from", config->init);
    if (strcmp(r->freeze, "none") != 0)
        row(file, "frozen", r->freeze);
    row(file, "made by", card->program ? card->program : "peerlab");
    if (card->command)
        row(file, "command", card->command);
    fputs("\nAll settings are in run.yaml, all results in result.json.", file);
    fputs(card->discarded ? " The weights were not kept.\n"
                          : " `peerlab eval` and\n`peerlab generate` take this folder.\n",
          file);
    if (data->vocabulary)
        fputs("The tokenizer is in tokenizer/.\n", file);
}

enum peer_status lab_run_card_write(struct peer_ctx *ctx, const char *folder,
                                    const struct lab_run_card *card)
{
    char path[LAB_PATH];
    struct lab_output output;
    snprintf(path, sizeof path, "%s/card.md", folder);
    enum peer_status status = lab_output_open(&output, ctx, path);
    if (status != PEER_OK)
        return status;
    print(output.file, card);
    return lab_output_close(&output, PEER_OK);
}
