/* SPDX-License-Identifier: MIT */
/* The text that a checkpoint is evaluated on, and the line that says how it went. */
#ifndef PEER_EXPERIMENTS_RUNS_EVAL_TEXT_H
#define PEER_EXPERIMENTS_RUNS_EVAL_TEXT_H

#include "experiments/runs/checkpoint_model.h"
#include "lm/eval.h"

enum { LAB_EVAL_SEQUENCES = 8 /* windows of a pass */ };

struct lab_eval_text {
    struct lm_dataset data;
    struct lm_corpus *own;          /* of a text given by the user, else NULL */
    const struct lm_corpus *scored; /* that or the validation text */
};

/* Opens the validation part of `folder` (NULL = where `loaded` was trained), or `text` by its
 * tokenizer if not NULL. *ret is zeroed before; close it in any case. Errors: PEER_ERR_ARGUMENT
 * where no text is known or its vocabulary is not the model's; those of lm_dataset_open() and
 * lab_tokenize(). */
enum peer_status lab_eval_text_open(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                    const struct lab_checkpoint_model *loaded, const char *folder,
                                    const char *text);
void lab_eval_text_close(struct lab_eval_text *text);

/* Prints tokens, nats, perplexity and, where known, bits per byte, as one line on stdout. */
void lab_eval_print(const struct lm_eval_result *result);

#endif
