/* SPDX-License-Identifier: MIT */
/* Claims, judged by their intervals alone. */
#ifndef PEER_EXPERIMENTS_FITS_CLAIMS_H
#define PEER_EXPERIMENTS_FITS_CLAIMS_H

#include "experiments/fits/interval.h"

enum lab_verdict {
    LAB_NOT_MEASURED = 0,  /* no interval */
    LAB_REPRODUCED,        /* the interval excludes zero on the side that is claimed */
    LAB_NOT_AT_THIS_SCALE, /* it includes zero */
    LAB_CONTRADICTED,      /* it excludes zero on the other side */
    LAB_VERDICT_COUNT
};

/* "not measured", "reproduced", "not at this scale", "contradicted", NULL. */
extern const char *const lab_verdict_names[];

/* `direction` > 0: the effect is claimed to be above zero; < 0: below. A claim against a value
 * other than zero ("usage is near 100 %") is judged on what is left after taking that value away.
 */
enum lab_verdict lab_claim_judge(int direction, struct lab_interval interval);

/* A row of the table of claims; texts are borrowed. */
struct lab_claim {
    const char *text; /* "loss falls with the number of experts" */
    const char *unit; /* of the effect: "nats", "nats per decade", "%" */
    int direction;
    double effect; /* NaN where it was not measured */
    struct lab_interval interval;
    int64_t seeds;
    const char *note; /* what the interval rests on, or why there is none */
    enum lab_verdict verdict;
};

/* What judging many claims at once does to the table. */
struct lab_family {
    int64_t claims, judged; /* judged: with an interval */
    int64_t verdicts[LAB_VERDICT_COUNT];
    double by_chance; /* reproduced claims to expect where every true effect is zero */
    double level;     /* of each interval, for all to hold together at LAB_FIT_LEVEL (Bonferroni);
                         NaN where none was judged */
};

struct lab_family lab_claims_family(const struct lab_claim *claim, int64_t count);

#endif
