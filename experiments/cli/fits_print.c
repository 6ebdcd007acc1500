/* SPDX-License-Identifier: MIT */
#include "experiments/cli/fits_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "experiments/cli/progress.h"
#include "experiments/cli/terminal.h"

enum { MOST_NAMED = 20 }; /* runs named one by one */

/* " (low to high)" behind a value; "" where it is not known. */
static void format_interval(char *text, int size, struct lab_interval interval)
{
    text[0] = 0;
    if (interval.known)
        snprintf(text, (size_t)size, " (%.4g to %.4g)", interval.low, interval.high);
}

/* "123k (101k to 150k)". */
static void format_count_range(char *text, int size, double value, struct lab_interval interval)
{
    char at[24], low[24], high[24];
    lab_format_count(at, sizeof at, value);
    lab_format_count(low, sizeof low, interval.low);
    lab_format_count(high, sizeof high, interval.high);
    snprintf(text, (size_t)size, interval.known ? "%s (%s to %s)" : "%s", at, low, high);
}

static void print_minimum(const struct lab_curve *curve, int width)
{
    const struct lab_fit *fit = &curve->fit[LAB_ACTIVE];
    const struct lab_akima *akima = &curve->akima[LAB_ACTIVE];
    char budget[24], loss[48], at[80], parabola[160];
    int64_t runs = 0;
    for (int state = 0; state < LAB_STATE_COUNT; state++)
        runs += curve->states[state];
    if (runs == 0)
        return;
    lab_format_count(budget, sizeof budget, curve->budget);
    snprintf(parabola, sizeof parabola, "none: %s", fit->reason);
    if (fit->minimum) {
        struct lab_interval x = fit->x_interval;
        format_interval(loss, sizeof loss, fit->y_interval);
        format_count_range(at, sizeof at, pow(10, fit->x),
                           (struct lab_interval){x.known, pow(10, x.low), pow(10, x.high)});
        snprintf(parabola, sizeof parabola, "%.4f%s at %s", fit->y, loss, at);
    }
    lab_print_cell(stdout, width, curve->variant);
    printf(" %8s %4lld/%-4lld %5lld  %-56s  ", budget, (long long)fit->runs, (long long)runs,
           (long long)fit->sizes, parabola);
    lab_format_count(at, sizeof at, pow(10, akima->x));
    if (akima->minimum)
        printf("%.4f at %s\n", akima->y, at);
    else
        printf("none: %s\n", akima->reason);
}

static void print_minima(const struct lab_minima *minima)
{
    puts("Lowest loss by budget, in nats per token, at how many active parameters; brackets: 90 % "
         "intervals\n");
    int width = 16;
    for (int64_t v = 0; v < minima->variants; v++)
        if (lab_cell_width(minima->variant[v]) > width)
            width = lab_cell_width(minima->variant[v]);
    printf("%-*s %8s %9s %5s  %-56s  %s\n", width, "variant", "budget", "runs done", "sizes",
           "parabola", "Akima");
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        print_minimum(&minima->curve[i], width);
}

static void print_constant(const char *name, double value, struct lab_interval interval,
                           double check)
{
    char range[48];
    format_interval(range, sizeof range, interval);
    printf("  %-24s %-11.5g ", name, value);
    if (isfinite(check))
        printf("%-26s %.5g\n", range + (*range == ' '), check);
    else
        printf("%s\n", range + (*range == ' '));
}

static const char at_bound[] = "0, at its bound";

static void print_law_constant(const struct lab_sweep_law *law, enum lab_law_constant constant)
{
    char text[80], check[32], range[48];
    format_interval(range, sizeof range, law->intervals.value[constant]);
    snprintf(text, sizeof text, "%-11.5g %s", law->law.value[constant], range + (*range == ' '));
    snprintf(check, sizeof check, "%.5g", law->check.value[constant]);
    printf("  %-24s ", lab_law_names[constant]);
    if (!isfinite(law->check.value[constant]))
        *check = 0;
    printf(*check ? "%-38s %s\n" : "%s%s\n",
           lab_law_at_bound(&law->law, constant) ? at_bound : text,
           lab_law_at_bound(&law->check, constant) ? at_bound : check);
}

static void print_best(const struct lab_law_best *best)
{
    char name[48], budget[24], params[80], tokens[80], loss[48];
    lab_format_count(budget, sizeof budget, best->budget);
    snprintf(name, sizeof name, "at %s FLOPs", budget);
    if (best->granularity > 0)
        snprintf(name, sizeof name, "at %s FLOPs, G %.0f", budget, best->granularity);
    format_count_range(params, sizeof params, best->best.params, best->range.params);
    format_count_range(tokens, sizeof tokens, best->best.tokens, best->range.tokens);
    format_interval(loss, sizeof loss, best->range.loss);
    printf("  %-24s N %s, D %s, loss %.4f%s%s\n", name, params, tokens, best->best.loss, loss,
           best->ahead    ? ", ten times the largest budget"
           : best->inside ? ""
                          : ", outside the sizes that were trained");
}

static void print_optima(const struct lab_sweep_law *law)
{
    struct lab_interval n = law->intervals.exponent, d = {n.known, 1 - n.high, 1 - n.low};
    double here = lab_law_at(&law->law, 1, 1).exponent;
    double check = lab_law_at(&law->check, 1, 1).exponent;
    if (!isfinite(here)) {
        puts("  no optimum: an exponent is not above zero");
        return;
    }
    print_constant("exponent of N on FLOPs", here, n, check);
    print_constant("exponent of D on FLOPs", 1 - here, d, 1 - check);
    for (int64_t i = 0; i < law->points; i++)
        print_best(&law->best[i]);
}

static void print_law(const struct lab_sweep_law *law)
{
    char name[256];
    const struct lab_law *fit = &law->law;
    bool joint = fit->form == LAB_LAW_JOINT;
    lab_sweep_law_name(name, sizeof name, law);
    printf("\n%s: %s law, N = %s\n", name, joint ? "joint" : "granularity",
           lab_law_size_names[law->size]);
    printf("  %lld runs in %lld settings at %lld budgets; %lld of %lld starts agree; condition "
           "%.0f; residuals %.2g %%\n",
           (long long)law->runs, (long long)fit->settings, (long long)law->budgets,
           (long long)fit->agree, (long long)fit->starts, fit->condition, 100 * fit->rms);
    printf("  %-24s %-11s %s\n", "constant", "value",
           joint ? "90 % interval              by variable projection" : "90 % interval");
    for (int c = 0; c < lab_law_constants(fit->form); c++)
        print_law_constant(law, c);
    print_optima(law);
    printf("  intervals: %s\n", law->intervals.note);
    if (*fit->note)
        printf("  %s\n", fit->note);
    if (joint && !law->check.fitted)
        printf("  no check by variable projection: %s\n", law->check.reason);
}

/* Laws that are not fitted for the same reason, in one line. N does not change the reason. */
static void print_reason(const struct lab_sweep_laws *laws, int64_t first)
{
    const struct lab_sweep_law *law = &laws->law[first];
    const char *separator = ": ";
    for (int64_t i = 0; i < first; i++)
        if (laws->law[i].size == law->size && laws->law[i].law.form == law->law.form &&
            !strcmp(laws->law[i].law.reason, law->law.reason))
            return;
    printf("\nno %s law, %s", law->law.form == LAB_LAW_JOINT ? "joint" : "granularity",
           law->law.reason);
    for (int64_t i = first; i < laws->count; i++) {
        const struct lab_sweep_law *other = &laws->law[i];
        if (other->size != law->size || other->law.form != law->law.form ||
            strcmp(other->law.reason, law->law.reason))
            continue;
        char name[256];
        lab_sweep_law_name(name, sizeof name, other);
        printf("%s%s", separator, name);
        separator = law->law.form == LAB_LAW_JOINT ? ", " : "; ";
    }
    putchar('\n');
}

static void print_laws(const struct lab_sweep_laws *laws)
{
    puts("\nLaws: loss = E + A / N^alpha + B / D^beta, with D tokens; of several granularities G "
         "(the experts\nof a token, heads x kept) loss = E + (g / G^gamma + A) / N^alpha + B / "
         "D^beta");
    for (int64_t i = 0; i < laws->count; i++)
        if (laws->law[i].law.fitted)
            print_law(&laws->law[i]);
    for (int64_t i = 0; i < laws->count; i++)
        if (!laws->law[i].law.fitted && laws->law[i].size == LAB_LAW_ACTIVE)
            print_reason(laws, i);
}

static void print_states(const int64_t states[LAB_STATE_COUNT], int64_t all)
{
    const char *separator = "";
    printf("\nLeft out: %lld runs (", (long long)all);
    for (int state = 0; state < LAB_STATE_COUNT; state++) {
        if (!states[state])
            continue;
        printf("%s%lld %s", separator, (long long)states[state], lab_state_names[state]);
        separator = ", ";
    }
    puts(")");
}

static void print_left_out(const struct lab_result *results, int64_t count)
{
    int64_t left = 0, states[LAB_STATE_COUNT] = {0}, all = 0;
    for (int64_t i = 0; i < count; i++) {
        states[results[i].state] += !lab_result_counts(&results[i]);
        all += !lab_result_counts(&results[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        const struct lab_result *r = &results[i];
        char budget[24];
        if (lab_result_counts(r) || left++ >= MOST_NAMED)
            continue;
        if (left == 1)
            print_states(states, all);
        lab_format_count(budget, sizeof budget, r->budget);
        printf("  run %lld (%s, %s FLOPs, width %lld, %lld blocks, seed %lld) %s%s%s\n",
               (long long)r->id, r->variant, budget, (long long)r->width, (long long)r->blocks,
               (long long)r->seed, lab_state_names[r->state], *r->message ? ": " : "", r->message);
    }
    if (left > MOST_NAMED)
        printf("  and %lld more\n", (long long)(left - MOST_NAMED));
}

void lab_fits_print(const struct lab_minima *minima, const struct lab_sweep_laws *laws,
                    const struct lab_result *results, int64_t count)
{
    if (count == 0) {
        puts("This sweep has no runs yet.");
        return;
    }
    print_minima(minima);
    print_laws(laws);
    print_left_out(results, count);
}
