/* SPDX-License-Identifier: MIT */
#include "experiments/study/findings_print.h"

#include <math.h>
#include <stdio.h>

#include "experiments/cli/progress.h"

static void print_effect(const struct lab_effect *effect)
{
    if (effect->interval.known)
        printf("  %+.4f (%+.4f, %+.4f)", effect->mean, effect->interval.low, effect->interval.high);
    else if (isfinite(effect->mean))
        printf("  %+.4f (one seed)", effect->mean);
}

static void print_lines(const struct lab_findings *f, const struct lab_finding *finding)
{
    printf("%-20s %5s %9s %8s %8s %8s  minus %s\n", "variant", "seeds", "loss", "usage", "uneven",
           "top-1", f->study->variant[finding->line[0].variant].name);
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        char loss[24] = "-", usage[24] = "-", uneven[24] = "-", top1[24] = "-";
        if (isfinite(line->nats))
            snprintf(loss, sizeof loss, "%.4f", line->nats);
        if (isfinite(line->used)) {
            snprintf(usage, sizeof usage, "%.2f %%", 100 * line->used);
            snprintf(uneven, sizeof uneven, "%.3f", line->unevenness);
            snprintf(top1, sizeof top1, "%.2f %%", 100 * line->top1);
        }
        printf("%-20s %2lld/%-2lld %9s %8s %8s %8s", f->study->variant[line->variant].name,
               (long long)line->seeds, (long long)line->planned, loss, usage, uneven, top1);
        if (i > 0)
            print_effect(&line->effect);
        putchar('\n');
    }
}

static void print_facts(const struct lab_findings *f, const struct lab_finding *finding)
{
    printf("%-20s %5s %5s %9s %9s %9s %11s %11s\n", "variant", "width", "seeds", "bits", "of all",
           "accuracy", "bits/param", "bits/GFLOP");
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        const struct lab_facts_config *table = &finding->rows.part->make.table;
        double all = (double)(table->people * table->attributes) * log2((double)table->values);
        printf("%-20s %5lld %2lld/%-2lld", f->study->variant[line->variant].name,
               (long long)finding->rows.part->size[line->size].width, (long long)line->seeds,
               (long long)line->planned);
        if (isfinite(line->bits)) {
            char bits[24];
            lab_format_count(bits, sizeof bits, line->bits);
            printf(" %9s %7.2f %% %7.2f %% %11.4f %11.4f", bits, 100 * line->bits / all,
                   100 * line->accuracy, line->bits / line->params_total,
                   line->bits / (line->flops / 1e9));
        }
        putchar('\n');
    }
}

static void print_minima(const struct lab_minima *minima)
{
    printf("%-20s %8s %6s %9s  %-22s minus dense\n", "variant", "budget", "seeds", "minimum",
           "at active parameters");
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++) {
        const struct lab_curve *curve = &minima->curve[i];
        const struct lab_fit *fit = &curve->fit[LAB_ACTIVE];
        char active[24];
        printf("%-20s %8.2g %6lld", curve->variant, curve->budget, (long long)curve->seeds);
        if (!fit->minimum) {
            printf(" %9s  %s\n", "-", fit->reason);
            continue;
        }
        lab_format_count(active, sizeof active, pow(10, fit->x));
        printf(" %9.4f  %-22s", fit->y, active);
        const struct lab_difference *d = &curve->difference[LAB_ACTIVE];
        if (isfinite(d->value))
            printf(" %+.4f", d->value);
        if (d->interval.known)
            printf(" (%+.4f, %+.4f)", d->interval.low, d->interval.high);
        putchar('\n');
    }
}

static void print_table1(const struct lab_findings *f)
{
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    printf("\ntable1: %-12s %8s %5s  %-28s %-9s %9s %8s %10s %9s\n", "variant", "budget", "width",
           "text", "form", "ppl", "bits/B", "word ppl", "last word");
    for (int64_t i = 0; i < f->table1.models; i++) {
        const struct lab_table1_model *model = &f->table1.model[i];
        for (int64_t j = 0; j < model->texts; j++) {
            const struct lab_text_score *score = &model->text[j];
            char words[24] = "-", last[24] = "-";
            if (isfinite(score->word_perplexity))
                snprintf(words, sizeof words, "%.2f", score->word_perplexity);
            if (isfinite(score->last_word_accuracy))
                snprintf(last, sizeof last, "%.2f %%", 100 * score->last_word_accuracy);
            printf("        %-12s %8.2g %5lld  %-28.28s %-9s %9.3f %8.4f %10s %9s\n",
                   f->study->variant[model->variant].name, fig1->budget[model->budget],
                   (long long)model->result->width, score->text, score->form, score->perplexity,
                   score->bits_per_byte, words, last);
        }
    }
}

/* What the study's file says of a part or claim. */
static void print_note(const struct lab_findings *f, const char *indent, const char *on)
{
    const char *note = lab_study_note_on(f->study, on);
    if (note)
        printf("%sNote: %s\n", indent, note);
}

static void print_claims(const struct lab_findings *f)
{
    printf("\nclaims of the paper, 90 %% intervals\n");
    for (int64_t i = 0; i < f->claims; i++) {
        const struct lab_claim *claim = &f->claim[i];
        printf("  %-18s %s", lab_verdict_names[claim->verdict], claim->text);
        if (isfinite(claim->effect))
            printf(": %+.4f", claim->effect);
        if (claim->interval.known)
            printf(" (%+.4f, %+.4f)", claim->interval.low, claim->interval.high);
        printf("%s%s%s%s, %lld seeds\n", isfinite(claim->effect) ? " " : "",
               isfinite(claim->effect) ? claim->unit : "", *claim->note ? "; " : "", claim->note,
               (long long)claim->seeds);
        print_note(f, "      ", claim->text);
    }
}

void lab_findings_print(const struct lab_findings *f)
{
    if (isfinite(f->noise.deviation))
        printf("noise of a pair of runs: %.4f nats; 2 seeds show %.4f, 3 %.4f, 4 %.4f; "
               "%.4f needs %lld; the study takes up to %lld\n",
               f->noise.deviation, f->detectable[0].difference, f->detectable[1].difference,
               f->detectable[2].difference, f->study->effect, (long long)f->needed.seeds,
               (long long)f->seeds);
    for (int64_t i = 0; i < f->study->parts; i++) {
        const struct lab_finding *finding = &f->part[i];
        printf("\n%s: %lld runs done, %lld failed or diverged, %lld missing\n",
               f->study->part[i].name, (long long)finding->finished, (long long)finding->failed,
               (long long)finding->missing);
        if (finding->finished && finding->rows.part->facts)
            print_facts(f, finding);
        else if (finding->finished && finding->lines)
            print_lines(f, finding);
        else if (finding->minima)
            print_minima(finding->minima);
        print_note(f, "", f->study->part[i].name);
    }
    if (f->table1.models > 0)
        print_table1(f);
    print_claims(f);
}
