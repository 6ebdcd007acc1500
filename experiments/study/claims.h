/* SPDX-License-Identifier: MIT */
/* Internal. The paper's claims (He 2024, Figures 1, 3, 4 and Table 2), each judged by its interval
 * alone, part by part. Errors of all: PEER_ERR_MEMORY. */
#ifndef PEER_EXPERIMENTS_STUDY_CLAIMS_H
#define PEER_EXPERIMENTS_STUDY_CLAIMS_H

#include "experiments/study/findings.h"

/* A new claim with its text; NULL when the table is full. */
struct lab_claim *lab_claim_add(struct lab_findings *f, int direction, const char *unit,
                                const char *format, ...) PEER_PRINTF(4, 5);

/* Its effect, and with it the verdict. `claim` may be NULL. */
void lab_claim_set(struct lab_findings *f, struct lab_claim *claim, double effect,
                   struct lab_interval interval, int64_t seeds, const char *note);

/* What a trend is of: the slope of a value on the logarithm of something. */
struct lab_trend_claim {
    const struct lab_finding *finding;
    double (*axis)(const struct lab_part_row *row);
    double (*value)(const struct lab_result *result);
    const bool *take; /* [rows], the runs that count; NULL = all with a table */
    int direction;
    const char *unit, *text;
};

enum peer_status lab_claim_trend(struct lab_findings *f, struct peer_ctx *ctx,
                                 const struct lab_trend_claim *of);

double lab_value_loss(const struct lab_result *result);  /* nats */
double lab_axis_experts(const struct lab_part_row *row); /* log10 N */
double lab_axis_active(const struct lab_part_row *row);  /* log10 h k */

enum peer_status lab_claims_fig1(struct lab_findings *f, struct peer_ctx *ctx);
enum peer_status lab_claims_fig3(struct lab_findings *f, struct peer_ctx *ctx);
enum peer_status lab_claims_norm(struct lab_findings *f, struct peer_ctx *ctx);
enum peer_status lab_claims_capacity(struct lab_findings *f, struct peer_ctx *ctx);

#endif
