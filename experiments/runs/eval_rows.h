/* SPDX-License-Identifier: MIT */
/* Scores of texts by models, for people and for programs. */
#ifndef PEER_EXPERIMENTS_RUNS_EVAL_ROWS_H
#define PEER_EXPERIMENTS_RUNS_EVAL_ROWS_H

#include <stdio.h>

#include "experiments/runs/eval_text.h"

struct lab_eval_row {
    const char *model, *text; /* names */
    enum lab_form form;
    struct lab_eval_score score;
};

struct lab_eval_rows {
    const struct lab_eval_row *rows; /* [count] */
    int64_t count;
    int64_t length; /* tokens of a window */
};

/* How the two files begin, by which an older one is known that may be replaced. */
#define LAB_EVAL_JSON_START "{\n  \"format\": \"peerlab-eval\""
#define LAB_EVAL_CSV_START "model,text,form"

/* A table; columns in which no row has a value are left out, and so is the model where there is
 * one. Then, for last words, how many passages were longer than a window. */
void lab_eval_rows_print(FILE *file, const struct lab_eval_rows *rows);

/* The same table in Markdown, without what stands behind it. */
void lab_eval_rows_markdown(FILE *file, const struct lab_eval_rows *rows);

/* Writes {"format": "peerlab-eval", "version": 1, "length": S, "rows": [{...}]}, or the same rows
 * as CSV, both with the columns model, text, form, documents, longer, tokens, bytes, nats,
 * perplexity, bits_per_byte, words, word_perplexity, passages, last_word_perplexity,
 * last_word_accuracy, and behind them the standard errors: nats_error, perplexity_error,
 * bits_per_byte_error, word_perplexity_error, last_word_perplexity_error, last_word_accuracy_error;
 * what a form has not is null or an empty cell. Errors: PEER_ERR_MEMORY; those of writing stay in
 * the stream. */
enum peer_status lab_eval_rows_json(struct peer_ctx *ctx, FILE *file,
                                    const struct lab_eval_rows *rows);
enum peer_status lab_eval_rows_csv(struct peer_ctx *ctx, FILE *file,
                                   const struct lab_eval_rows *rows);

#endif
