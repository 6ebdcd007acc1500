/* SPDX-License-Identifier: MIT */
#include "experiments/fits/claims.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(claims, are_judged_by_their_interval)
{
    static const struct {
        int direction;
        struct lab_interval interval;
        const char *verdict;
    } cases[] = {
        {-1, {true, -0.03, -0.01}, "reproduced"},      {-1, {true, 0.01, 0.03}, "contradicted"},
        {1, {true, 0.01, 0.03}, "reproduced"},         {1, {true, -0.03, -0.01}, "contradicted"},
        {1, {true, -0.01, 0.03}, "not at this scale"}, {-1, {true, -0.03, 0}, "not at this scale"},
        {1, {true, 0, 0.03}, "not at this scale"},     {1, {true, 0, 0}, "not at this scale"},
        {1, {false, NAN, NAN}, "not measured"},        {0, {true, 1, 2}, "not measured"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum lab_verdict verdict = lab_claim_judge(cases[i].direction, cases[i].interval);
        cr_expect_str_eq(lab_verdict_names[verdict], cases[i].verdict, "case %zu", i);
    }
    cr_expect_null(lab_verdict_names[LAB_VERDICT_COUNT]);
}

Test(claims, are_counted_as_a_family)
{
    struct lab_claim claims[5];
    memset(claims, 0, sizeof claims);
    claims[0].verdict = claims[3].verdict = LAB_REPRODUCED;
    claims[1].verdict = LAB_CONTRADICTED;
    claims[4].verdict = LAB_NOT_AT_THIS_SCALE;
    struct lab_family family = lab_claims_family(claims, 5);
    cr_expect_eq(family.claims, 5);
    cr_expect_eq(family.judged, 4);
    cr_expect_eq(family.verdicts[LAB_REPRODUCED], 2);
    cr_expect_eq(family.verdicts[LAB_NOT_MEASURED], 1);
    cr_expect_float_eq(family.by_chance, 0.2, 1e-12);
    cr_expect_float_eq(family.level, 0.975, 1e-12);
    cr_expect(isnan(lab_claims_family(claims + 2, 1).level));
}
