/* SPDX-License-Identifier: MIT */
#include "experiments/study/budget_noise.h"

#include <math.h>
#include <stdlib.h>

#include "experiments/study/findings.h"

static void weigh(struct lab_budget_noise *ret, const struct lab_findings *f)
{
    const struct lab_effect *effect = &ret->pooled.effect;
    const struct lab_design design = {.sizes = 1, .seeds = f->seeds};
    ret->noise = lab_seed_noise_of(effect->deviation, effect->freedom);
    ret->shown = lab_power_difference(ret->noise, design);
    ret->to_see = lab_power_seeds(ret->noise, fabs(effect->mean), 1);
    ret->to_want = lab_power_seeds(ret->noise, f->study->effect, 1);
}

enum peer_status lab_budget_noise_make(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *fig1 = lab_findings_part(f, "fig1");
    free(f->budget_noise);
    f->budget_noise = NULL;
    f->budget_noises = 0;
    if (!fig1)
        return PEER_OK;
    const struct lab_part *part = fig1->rows.part;
    int last = part->variant[part->variants - 1];
    struct lab_pair *pair = calloc((size_t)fig1->rows.count + 1, sizeof *pair);
    f->budget_noise = calloc((size_t)(part->budgets * part->variants) + 1, sizeof *f->budget_noise);
    if (!pair || !f->budget_noise) {
        free(pair);
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the noise of budgets");
    }
    for (int64_t b = 0; b < part->budgets; b++)
        for (int64_t v = 0; v + 1 < part->variants; v++) {
            int64_t count = lab_part_pairs(pair, &fig1->rows, last, part->variant[v], b);
            if (count == 0)
                continue;
            struct lab_budget_noise *next = &f->budget_noise[f->budget_noises++];
            *next = (struct lab_budget_noise){
                .budget = b, .base = part->variant[v], .pooled = lab_effect_pooled(pair, count)};
            weigh(next, f);
        }
    free(pair);
    return PEER_OK;
}
