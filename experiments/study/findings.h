/* SPDX-License-Identifier: MIT */
/* What a study has found so far: out of the finished runs of its parts, effects with intervals and
 * the paper's claims, judged. Runs that are missing, failed or diverged are counted and left out.
 */
#ifndef PEER_EXPERIMENTS_STUDY_FINDINGS_H
#define PEER_EXPERIMENTS_STUDY_FINDINGS_H

#include "experiments/fits/best.h"
#include "experiments/fits/claims.h"
#include "experiments/fits/minima.h"
#include "experiments/fits/pairs.h"
#include "experiments/fits/power.h"
#include "experiments/fits/sweep_laws.h"
#include "experiments/fits/trend.h"
#include "experiments/study/budget_noise.h"
#include "experiments/study/outlook.h"
#include "experiments/study/part_rows.h"
#include "experiments/study/table1.h"

enum { LAB_MOST_CLAIMS = 160 };

/* A variant and size of a part with one size or a text of facts, at its first budget; means over
 * its finished seeds. */
struct lab_finding_line {
    int variant;
    int64_t size;
    const struct lab_part_row *row; /* its first run, finished or not: N, h, k, norm, rates */
    int64_t seeds, planned;         /* finished, planned */
    double nats, deviation;         /* mean, and standard deviation over seeds; NaN without */
    double bits_per_byte;
    struct lab_effect effect;      /* its loss minus that of the part's first variant, in pairs */
    double used, unevenness, top1; /* shares 0 ... 1 and nats, weighted by gates; NaN without */
    double seconds_per_token;      /* wall-clock of training, per run; on a shared machine it is
                                      what it was */
    double bytes_per_token, params_total, params_active, flops;
    double bits, bits_deviation, accuracy; /* learned of a table of facts; NaN without */
};

/* One part. */
struct lab_finding {
    struct lab_part_rows rows;
    int64_t lines;                 /* parts of one size, or of facts */
    struct lab_finding_line *line; /* [lines], in the part's order */
    struct lab_result *results;    /* parts of several sizes: the rows' finished results */
    int64_t result_count;
    struct lab_minima *minima;   /* of them; NULL without any */
    struct lab_sweep_laws *laws; /* of them, from three budgets on; else NULL */
    int64_t finished, failed, missing;
};

struct lab_findings {
    const struct lab_study *study;
    struct lab_rates rates;
    struct lab_rates *own[LAB_STUDY_PARTS];   /* of parts on a text of facts; else NULL */
    struct lab_finding part[LAB_STUDY_PARTS]; /* as the study's */
    struct lab_effect noise_pair;             /* of the part "power": second variant minus first */
    struct lab_seed_noise noise;
    struct lab_detectable detectable[LAB_POWER_ROWS];
    struct lab_seeds_needed needed; /* to show study->effect */
    int64_t seeds;                  /* that the study takes: `needed`, within its list */
    struct lab_table1 table1;
    int64_t budget_noises;
    struct lab_budget_noise *budget_noise;
    int64_t outlooks;
    struct lab_outlook outlook[LAB_OUTLOOKS];
    int64_t claims;
    struct lab_claim claim[LAB_MOST_CLAIMS];
    char text[LAB_MOST_CLAIMS][160]; /* of claims and notes */
    char note[LAB_MOST_CLAIMS][160];
};

/* What is asked for. */
struct lab_request {
    const char *const *parts; /* names, NULL-terminated, "table1" among them; NULL = all */
    const struct lab_text_source *text; /* [texts] that table1 scores; a table without any has the
                                           scores that are there */
    int64_t texts;
};

/* Trains what is missing of the learning rates, of the part "power", and then of the parts asked
 * for, and judges what is there of every part. With campaign->plan_only
 * nothing is trained. A stop, or a text of table1 that cannot be scored, is no reason to lose what
 * is there: *ret is whole then too. Errors:
 * PEER_ERR_STOPPED; those of lab_campaign_train(). */
enum peer_status lab_findings_make(struct lab_findings **ret, struct lab_campaign *campaign,
                                   const struct lab_request *request);
void lab_findings_free(struct lab_findings **findings);

/* The finding of a part by name, or NULL. */
const struct lab_finding *lab_findings_part(const struct lab_findings *findings, const char *name);

/* Of claims.c: judges everything, weighs the noise of budgets and looks ahead; texts go into
 * *findings. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_findings_judge(struct lab_findings *findings, struct peer_ctx *ctx);

#endif
