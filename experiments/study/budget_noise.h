/* SPDX-License-Identifier: MIT */
/* Which budget can show what: the noise of pairs at every budget of fig1, pooled over its sizes. */
#ifndef PEER_EXPERIMENTS_STUDY_BUDGET_NOISE_H
#define PEER_EXPERIMENTS_STUDY_BUDGET_NOISE_H

#include "experiments/fits/pairs.h"
#include "experiments/fits/power.h"
#include "nn/context.h"

struct lab_findings;

/* The last variant of fig1 minus another, at one budget. */
struct lab_budget_noise {
    int64_t budget; /* place in the part's list */
    int base;       /* the other variant, of the study */
    struct lab_pooled pooled;
    struct lab_seed_noise noise;     /* of one pair, from all sizes with two seeds or more */
    struct lab_detectable shown;     /* by the study's seeds at one size */
    struct lab_seeds_needed to_see;  /* at one size, to show the difference that was seen */
    struct lab_seeds_needed to_want; /* the same for the difference that the study asks for */
};

/* f->budget_noise, budget by budget, without those that have no pair; none without fig1. Free with
 * free(). Errors: PEER_ERR_MEMORY. */
enum peer_status lab_budget_noise_make(struct lab_findings *f, struct peer_ctx *ctx);

#endif
