/* SPDX-License-Identifier: MIT */
#include "experiments/fits/claims.h"

#include <math.h>
#include <stddef.h>

const char *const lab_verdict_names[] = {"not measured", "reproduced", "not at this scale",
                                         "contradicted", NULL};

enum lab_verdict lab_claim_judge(int direction, struct lab_interval interval)
{
    if (!interval.known || direction == 0)
        return LAB_NOT_MEASURED;
    if (interval.low <= 0 && interval.high >= 0)
        return LAB_NOT_AT_THIS_SCALE;
    return (interval.low > 0) == (direction > 0) ? LAB_REPRODUCED : LAB_CONTRADICTED;
}

struct lab_family lab_claims_family(const struct lab_claim *claim, int64_t count)
{
    struct lab_family family = {.claims = count, .level = NAN};
    for (int64_t i = 0; i < count; i++)
        family.verdicts[claim[i].verdict]++;
    family.judged = count - family.verdicts[LAB_NOT_MEASURED];
    family.by_chance = (double)family.judged * (1 - LAB_FIT_LEVEL) / 2;
    if (family.judged > 0)
        family.level = 1 - (1 - LAB_FIT_LEVEL) / (double)family.judged;
    return family;
}
