/* SPDX-License-Identifier: MIT */
/* Table 1: the compute-optimal models of fig1, that is of every variant and budget the size with
 * the lowest loss, on several texts. Scores are kept in each run's folder (texts.json), so that a
 * model is asked once for a text. */
#ifndef PEER_EXPERIMENTS_STUDY_TABLE1_H
#define PEER_EXPERIMENTS_STUDY_TABLE1_H

#include "experiments/runs/text_form.h"
#include "experiments/study/campaign.h"

enum { LAB_TABLE1_TEXTS = 17 };

/* One model on one text; NaN where the form has no such number. Equations: runs/README.md. */
struct lab_text_score {
    char text[64], form[16];
    double size;   /* of the text, in tokens: tells whether it has changed */
    double tokens; /* scored */
    double nats, perplexity, bits_per_byte;
    double word_perplexity, last_word_perplexity, last_word_accuracy; /* the last 0 ... 1 */
};

struct lab_table1_model {
    int variant;    /* of the study */
    int64_t budget; /* place in fig1's list */
    const struct lab_result *result;
    int64_t texts;
    struct lab_text_score text[LAB_TABLE1_TEXTS];
};

struct lab_table1 {
    int64_t models;
    struct lab_table1_model *model; /* [models], by budget, then variant */
};

/* Scores what is not scored yet of the `count` texts, with lab_checkpoints_restore() where a
 * model's checkpoint is gone; with campaign->plan_only, or without texts, only reads. Models
 * without any score are there too. *ret is to be freed in any case. Errors: those of opening
 * checkpoints and texts, PEER_ERR_STOPPED, PEER_ERR_IO. */
enum peer_status lab_table1_make(struct lab_table1 *ret, struct lab_campaign *campaign,
                                 const struct lab_text_source *source, int64_t count);
void lab_table1_free(struct lab_table1 *table);

#endif
