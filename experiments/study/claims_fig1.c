/* SPDX-License-Identifier: MIT */
/* Figure 1: minima at equal FLOPs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/claims.h"
#include "nn/layers/ffw.h"

static const struct lab_curve *curve_of(const struct lab_minima *minima, const char *variant,
                                        double budget)
{
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        if (strcmp(minima->curve[i].variant, variant) == 0 && minima->curve[i].budget == budget)
            return &minima->curve[i];
    return NULL;
}

/* Two variants at one of the part's budgets. */
struct comparison {
    const struct lab_finding *fig1;
    int first, second;
    int64_t budget;
};

/* The difference at equal sizes, in pairs, which the scatter of minima may hide; "" without an
 * interval. */
static enum peer_status pairs_note(char note[160], struct peer_ctx *ctx, const struct comparison *c)
{
    const struct lab_part_rows *rows = &c->fig1->rows;
    struct lab_pair *pair = calloc((size_t)rows->count + 1, sizeof *pair);
    if (!pair)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for pairs");
    int64_t count = lab_part_pairs(pair, rows, c->first, c->second, c->budget);
    struct lab_pooled pooled = lab_effect_pooled(pair, count);
    free(pair);
    if (pooled.effect.interval.known)
        snprintf(note, 160, "at equal sizes %+.4f (%+.4f, %+.4f), %lld pairs", pooled.effect.mean,
                 pooled.effect.interval.low, pooled.effect.interval.high, (long long)count);
    return PEER_OK;
}

/* The same difference without a parabola's shape, where both curves have a minimum inside. */
static void akima_note(char note[160], const struct lab_curve *a, const struct lab_curve *b)
{
    const struct lab_akima *x = &a->akima[LAB_ACTIVE], *y = &b->akima[LAB_ACTIVE];
    size_t length = strlen(note);
    if (x->minimum && y->minimum)
        snprintf(note + length, 160 - length, "%sby Akima's curves %+.4f", *note ? "; " : "",
                 x->y - y->y);
}

static enum peer_status judge(struct lab_findings *f, struct peer_ctx *ctx,
                              const struct comparison *c)
{
    const char *first = f->study->variant[c->first].name;
    const char *second = f->study->variant[c->second].name;
    double budget = c->fig1->rows.part->budget[c->budget];
    const struct lab_curve *a = curve_of(c->fig1->minima, first, budget);
    const struct lab_curve *b = curve_of(c->fig1->minima, second, budget);
    char pairs[160] = "";
    enum peer_status status = pairs_note(pairs, ctx, c);
    if (status != PEER_OK)
        return status;
    struct lab_claim *claim = lab_claim_add(
        f, -1, "nats", "%s below %s at %.3g FLOPs, each at its best size", first, second, budget);
    if (!a || !b) {
        lab_claim_set(f, claim, NAN, lab_interval_unknown(), 0, "not all runs are done");
        return PEER_OK;
    }
    akima_note(pairs, a, b);
    if (b->best && b->best->traits & PEER_FFW_NOT_CAUSAL)
        snprintf(pairs + strlen(pairs), sizeof pairs - strlen(pairs), "%s%s is not causal",
                 *pairs ? "; " : "", second);
    const struct lab_fit *x = &a->fit[LAB_ACTIVE], *y = &b->fit[LAB_ACTIVE];
    int64_t seeds = a->seeds < b->seeds ? a->seeds : b->seeds;
    if (!x->minimum || !y->minimum)
        lab_claim_set(f, claim, NAN, lab_interval_unknown(), seeds,
                      !x->minimum ? x->reason : y->reason);
    else
        lab_claim_set(f, claim, x->y - y->y, lab_fit_difference(x, y), seeds, pairs);
    return PEER_OK;
}

/* The last variant of the part is held against all others. */
enum peer_status lab_claims_fig1(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *fig1 = lab_findings_part(f, "fig1");
    enum peer_status status = PEER_OK;
    if (!fig1 || !fig1->minima)
        return PEER_OK;
    const struct lab_part *part = fig1->rows.part;
    for (int64_t b = 0; b < part->budgets; b++)
        for (int64_t v = 0; v + 1 < part->variants && status == PEER_OK; v++) {
            const struct comparison c = {.fig1 = fig1,
                                         .first = part->variant[part->variants - 1],
                                         .second = part->variant[v],
                                         .budget = b};
            status = judge(f, ctx, &c);
        }
    return status;
}
