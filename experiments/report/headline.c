/* SPDX-License-Identifier: MIT */
#include "experiments/report/headline.h"

#include <math.h>

#include "experiments/cli/progress.h"
#include "experiments/report/html.h"

static const struct lab_fit *fit_of(const struct lab_curve *curve)
{
    return &curve->fit[LAB_ACTIVE];
}

/* The variants of one budget in three heaps. */
struct ranking {
    const struct lab_curve *row; /* [variants] */
    int64_t variants;
    const struct lab_curve *lowest, *next; /* minima; NULL = none */
    const struct lab_curve *open; /* the lowest run of those without a minimum; NULL = none */
};

static struct ranking rank(const struct lab_minima *minima, int64_t budget)
{
    struct ranking r = {.row = &minima->curve[budget * minima->variants],
                        .variants = minima->variants};
    for (int64_t v = 0; v < r.variants; v++) {
        const struct lab_curve *curve = &r.row[v];
        if (!fit_of(curve)->minimum) {
            if (curve->best && (!r.open || curve->best->nats < r.open->best->nats))
                r.open = curve;
        } else if (!r.lowest || fit_of(curve)->y < fit_of(r.lowest)->y) {
            r.next = r.lowest;
            r.lowest = curve;
        } else if (!r.next || fit_of(curve)->y < fit_of(r.next)->y) {
            r.next = curve;
        }
    }
    return r;
}

/* "4.8123 nats at 1.2M active parameters, the largest of its sizes". */
static void say_run(struct lab_document *document, const struct lab_curve *curve)
{
    char params[32];
    const struct lab_result *best = curve->best;
    double x = log10((double)best->params_active);
    lab_format_count(params, sizeof params, (double)best->params_active);
    lab_document_say(document, "%.4f nats at %s active parameters", best->nats, params);
    if (fit_of(curve)->sizes < 2)
        lab_document_say(document, ", its only size");
    else if (x >= fit_of(curve)->high - 1e-9)
        lab_document_say(document, ", the largest of its sizes");
    else if (x <= fit_of(curve)->low + 1e-9)
        lab_document_say(document, ", the smallest of its sizes");
}

/* Held against dense, or where there is none, or it is the lowest, against the next. */
static void say_difference(struct lab_document *document, const struct ranking *r)
{
    const struct lab_curve *best = r->lowest, *other = best->base;
    double value = best->difference[LAB_ACTIVE].value;
    struct lab_interval interval = best->difference[LAB_ACTIVE].interval;
    if (!other || other == best || !isfinite(value)) {
        other = r->next;
        value = other ? fit_of(best)->y - fit_of(other)->y : NAN;
        interval = other ? lab_fit_difference(fit_of(best), fit_of(other)) : interval;
    }
    if (!other)
        return;
    lab_document_say(document, ", %+.4f from %s", value, other->variant);
    if (!interval.known)
        lab_document_say(document, ", without an interval");
    else
        lab_document_say(document, " (90\xC2\xA0%% interval %+.4f to %+.4f%s)", interval.low,
                         interval.high,
                         interval.high >= 0 ? ", which includes 0: they are not told apart" : "");
}

/* Variants without a minimum but `but`. */
static void say_open(struct lab_document *document, const struct ranking *r,
                     const struct lab_curve *but)
{
    bool any = false;
    for (int64_t v = 0; v < r->variants; v++) {
        const struct lab_curve *curve = &r->row[v];
        if (fit_of(curve)->minimum || curve == but)
            continue;
        lab_document_say(document,
                         any   ? "; %s "
                         : but ? "Also without a minimum inside its sizes: %s "
                               : "Without a minimum inside its sizes: %s ",
                         curve->variant);
        any = true;
        if (!curve->best) {
            lab_document_say(document, "(no finished run)");
            continue;
        }
        lab_document_say(document, "(lowest run ");
        say_run(document, curve);
        lab_document_say(document, ")");
    }
    lab_document_say(document, any ? ". " : "");
}

void lab_headline(struct lab_document *document, const struct lab_minima *minima, int64_t budget)
{
    const struct ranking r = rank(minima, budget);
    char power[48], params[32];
    lab_power_text(power, minima->budget[budget]);
    lab_document_say(document, "At %s FLOPs ", power);
    bool open = r.open && (!r.lowest || r.open->best->nats <= fit_of(r.lowest)->y);
    if (!open && !r.lowest) {
        lab_document_say(document, "nothing has finished. ");
        return;
    }
    if (open) {
        lab_document_say(document, "the lowest loss is that of ");
        lab_document_strong(document, r.open->variant);
        lab_document_say(document, "'s lowest run, ");
        say_run(document, r.open);
        lab_document_say(document, "; it has no minimum inside its sizes, so how low it goes is "
                                   "not known. ");
    }
    if (!r.lowest) {
        lab_document_say(document, "No variant has a minimum inside its sizes. ");
    } else {
        const struct lab_curve *best = r.lowest;
        lab_format_count(params, sizeof params, pow(10, fit_of(best)->x));
        lab_document_say(document, open ? "The lowest minimum, above that run, is that of "
                                        : "the lowest minimum is that of ");
        if (open)
            lab_document_say(document, "%s", best->variant);
        else
            lab_document_strong(document, best->variant);
        lab_document_say(document, ", %.4f nats at %s active parameters", fit_of(best)->y, params);
        say_difference(document, &r);
        lab_document_say(document, ". ");
    }
    say_open(document, &r, open ? r.open : NULL);
}

static void no_minimum(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_fit *fit = fit_of(&((const struct lab_minima *)of)->curve[i]);
    *ret = 0;
    if (!fit->minimum)
        snprintf(ret, size, "no minimum: %s", fit->reason);
}

void lab_curve_name(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_curve *curve = &((const struct lab_minima *)of)->curve[i];
    char power[48];
    lab_power_text(power, curve->budget);
    snprintf(ret, size, "%s at %s FLOPs", curve->variant, power);
}

void lab_headline_reasons(struct lab_document *document, const struct lab_minima *minima)
{
    const struct lab_notes notes = {minima, minima->budgets * minima->variants, "curves",
                                    no_minimum, lab_curve_name};
    lab_document_notes(document, &notes);
}
