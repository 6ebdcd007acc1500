/* SPDX-License-Identifier: MIT */
/* What more FLOPs would change, as far as the budgets of fig1 tell: trends over the logarithm of
 * the budget within a size and seed, and where they lead at ten times the FLOPs. */
#ifndef PEER_EXPERIMENTS_STUDY_OUTLOOK_H
#define PEER_EXPERIMENTS_STUDY_OUTLOOK_H

#include "experiments/fits/trend.h"
#include "experiments/study/study_file.h"

struct lab_findings;

enum { LAB_OUTLOOKS = LAB_STUDY_VARIANTS + 2 };

struct lab_outlook {
    char text[112];         /* "peer-1024 minus dense" */
    const char *unit;       /* "nats", "% of experts" */
    bool difference;        /* of two variants' losses */
    double budget;          /* the largest of the trend's runs; 0 without any */
    struct lab_trend trend; /* per factor of ten in FLOPs; its seeds are pairs of size and seed */
    struct lab_trend_point here, ahead; /* of the line, at that budget and at ten times it */
};

/* f->outlook: of the last variant of fig1, its loss minus every other's, and its use of experts.
 * None where fig1 has one budget or is not there. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_outlook_make(struct lab_findings *f, struct peer_ctx *ctx);

#endif
