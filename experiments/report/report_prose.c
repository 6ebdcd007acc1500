/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/cli/progress.h"
#include "experiments/report/headline.h"
#include "experiments/report/html.h"
#include "experiments/report/report_page.h"
#include "nn/layers/ffw.h"

enum { MOST_NAMED = 20 }; /* runs named one by one */

/* "s" after any number but one. */
static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* Between the parts of a list: "a, b and c". */
static const char *between(int64_t i, int64_t count)
{
    return i == 0 ? "" : i + 1 == count ? " and " : ", ";
}

static int64_t curve_count(const struct lab_page *page)
{
    return page->minima->budgets * page->minima->variants;
}

static const char *const state_words[LAB_STATE_COUNT] = {"not started", "in flight", "finished",
                                                         "diverged", "failed"};

static void write_states(const struct lab_page *page)
{
    static const enum lab_state order[] = {LAB_DONE, LAB_DIVERGED, LAB_FAILED, LAB_RUNNING,
                                           LAB_PENDING};
    int64_t states[LAB_STATE_COUNT] = {0}, kinds = 0, shown = 0;
    for (int64_t i = 0; i < page->count; i++)
        states[page->results[i]->state]++;
    for (int state = 0; state < LAB_STATE_COUNT; state++)
        kinds += states[state] > 0;
    if (kinds == 1 && states[LAB_DONE]) {
        fprintf(page->file, "%lld run%s, all finished", (long long)page->count,
                plural(page->count));
        return;
    }
    fprintf(page->file, "%lld run%s, of which ", (long long)page->count, plural(page->count));
    for (int i = 0; i < LAB_STATE_COUNT; i++)
        if (states[order[i]]) {
            fprintf(page->file, "%s%lld %s", between(shown, kinds), (long long)states[order[i]],
                    state_words[order[i]]);
            shown++;
        }
}

static void write_question(const struct lab_page *page)
{
    FILE *file = page->file;
    const struct lab_minima *minima = page->minima;
    int64_t sizes = 0, seeds = 0;
    for (int64_t i = 0; i < curve_count(page); i++) {
        const struct lab_curve *curve = &minima->curve[i];
        sizes = curve->fit[LAB_ACTIVE].sizes > sizes ? curve->fit[LAB_ACTIVE].sizes : sizes;
        seeds = curve->seeds > seeds ? curve->seeds : seeds;
    }
    fprintf(file, "<p class=\"lead\">At %s%lld budget%s of training compute (",
            minima->budgets > 1 ? "each of " : "", (long long)minima->budgets,
            plural(minima->budgets));
    for (int64_t i = 0; i < minima->budgets; i++) {
        fputs(between(i, minima->budgets), file);
        lab_html_power(file, minima->budget[i]);
    }
    fprintf(file, " FLOPs), language models with %lld kind%s of feed-forward layer (",
            (long long)minima->variants, plural(minima->variants));
    for (int64_t i = 0; i < minima->variants; i++) {
        fputs(between(i, minima->variants), file);
        lab_html_text(file, minima->variant[i]);
    }
    fprintf(file, ") were trained%s", page->info->data[0] ? " on " : "");
    lab_html_text(file, page->info->data);
    if (sizes)
        fprintf(file, "; up to %lld size%s and %lld seed%s each", (long long)sizes, plural(sizes),
                (long long)seeds, plural(seeds));
    fputs("; ", file);
    write_states(page);
    fputs(".</p>\n", file);
}

/* One sentence per budget: which variant is lowest. */
static void write_findings(const struct lab_page *page)
{
    lab_document_open(page->document, LAB_LIST);
    for (int64_t b = 0; b < page->minima->budgets; b++) {
        lab_document_open(page->document, LAB_ITEM);
        lab_headline(page->document, page->minima, b);
        lab_document_close(page->document, LAB_ITEM);
    }
    lab_document_close(page->document, LAB_LIST);
}

void lab_page_summary(const struct lab_page *page)
{
    if (page->count == 0) {
        fputs("<p class=\"lead\">This sweep has no runs yet.</p>\n", page->file);
        return;
    }
    write_question(page);
    write_findings(page);
}

static void write_seeds(const struct lab_page *page)
{
    int64_t finished = 0, single = 0;
    for (int64_t i = 0; i < curve_count(page); i++) {
        finished += page->minima->curve[i].seeds > 0;
        single += page->minima->curve[i].seeds == 1;
    }
    if (!single)
        return;
    if (single == finished)
        fputs("<li>Every size has one finished seed, so the noise between seeds is unknown. "
              "Intervals rest on how well a parabola fits; small differences may be luck.</li>\n",
              page->file);
    else
        fprintf(page->file,
                "<li>%lld of %lld curves have one finished seed per size; for them "
                "the noise between seeds is unknown.</li>\n",
                (long long)single, (long long)finished);
}

/* Runs without a loss, a line and the list behind it for each state. */
static void write_unfinished(const struct lab_page *page)
{
    for (int state = 0; state < LAB_STATE_COUNT; state++) {
        int64_t count = 0, named = 0;
        for (int64_t i = 0; i < page->count; i++)
            count += page->results[i]->state == (enum lab_state)state;
        if (state == LAB_DONE || count == 0)
            continue;
        lab_document_open(page->document, LAB_ITEM);
        lab_document_fold(page->document, "%lld run%s %s, not in the fits", (long long)count,
                          count == 1 ? " is" : "s are", state_words[state]);
        for (int64_t i = 0; i < page->count && named < MOST_NAMED; i++) {
            const struct lab_result *r = page->results[i];
            if (r->state != (enum lab_state)state)
                continue;
            lab_document_say(page->document, "%srun %lld (%s, width %lld, %lld blocks, seed %lld)",
                             named++ ? "; " : "", (long long)r->id, r->variant, (long long)r->width,
                             (long long)r->blocks, (long long)r->seed);
            if (*r->message)
                lab_document_say(page->document, ": %.200s", r->message);
        }
        if (count > named)
            lab_document_say(page->document, "; and %lld more", (long long)(count - named));
        lab_document_fold_end(page->document);
        lab_document_close(page->document, LAB_ITEM);
    }
}

/* Repeated text, and spending off the budget. */
static void write_spending(const struct lab_page *page)
{
    double epochs = 0, off = 0;
    for (int64_t i = 0; i < page->count; i++) {
        const struct lab_result *r = page->results[i];
        if (r->state != LAB_DONE)
            continue;
        epochs = fmax(epochs, r->epochs);
        if (r->budget > 0)
            off = fmax(off, fabs(r->flops / r->budget - 1));
    }
    if (epochs > 1)
        fprintf(page->file,
                "<li>The longest run passed %.1f times over the training text; text "
                "that is read again teaches less than new text.</li>\n",
                epochs);
    if (off > 0.01)
        fprintf(page->file,
                "<li>Runs spent up to %.1f&#160;%% more or less than their budget, "
                "since a run has whole steps.</li>\n",
                100 * off);
}

static bool has_trait(const struct lab_page *page, int64_t variant, unsigned trait)
{
    for (int64_t i = 0; i < page->count; i++)
        if (page->results[i]->traits & trait &&
            strcmp(page->results[i]->variant, page->minima->variant[variant]) == 0)
            return true;
    return false;
}

/* What variants with a trait do: one line for all of them. */
static void write_trait(const struct lab_page *page, unsigned trait, const char *one,
                        const char *several)
{
    int64_t count = 0, named = 0;
    for (int64_t v = 0; v < page->minima->variants; v++)
        count += has_trait(page, v, trait);
    if (count == 0)
        return;
    fputs("<li>", page->file);
    for (int64_t v = 0; v < page->minima->variants; v++)
        if (has_trait(page, v, trait)) {
            fputs(between(named++, count), page->file);
            lab_html_text(page->file, page->minima->variant[v]);
        }
    fprintf(page->file, "%s</li>\n", count == 1 ? one : several);
}

void lab_page_caveats(const struct lab_page *page)
{
    FILE *file = page->file;
    if (page->count == 0)
        return;
    lab_document_heading(page->document, "caveats", "What this can and cannot show");
    fputs("<ul>\n", file);
    write_seeds(page);
    write_unfinished(page);
    if (page->minima->budgets < 3)
        fprintf(file,
                "<li>With %lld budget%s no exponent of a scaling law can be told; only "
                "minima and differences are reported.</li>\n",
                (long long)page->minima->budgets, plural(page->minima->budgets));
    write_spending(page);
    write_trait(page, PEER_FFW_MIXES_TOKENS_IN_TRAINING,
                " normalises by statistics of the whole batch in training, so that tokens there "
                "see something of later ones; at evaluation it does not.",
                " normalise by statistics of the whole batch in training, so that tokens there "
                "see something of later ones; at evaluation they do not.");
    write_trait(page, PEER_FFW_NOT_CAUSAL,
                " lets tokens see later ones, at evaluation too: its loss is not comparable with "
                "the others'.",
                " let tokens see later ones, at evaluation too: their losses are not comparable "
                "with the others'.");
    write_trait(page, PEER_FFW_SHARES_CAPACITY,
                " gives the tokens of a batch shares of its experts' capacity, so that a token's "
                "loss depends on earlier ones of other sequences.",
                " give the tokens of a batch shares of their experts' capacity, so that a token's "
                "loss depends on earlier ones of other sequences.");
    if (page->shown->unread)
        fprintf(file,
                "<li>%lld file%s with usage or training curves could not be read and %s "
                "left out of the figures.</li>\n",
                (long long)page->shown->unread, plural(page->shown->unread),
                page->shown->unread == 1 ? "is" : "are");
    fputs("<li>A parabola is a good likeness near its minimum only; where the grid of sizes is off "
          "centre it shifts the minimum. Losses in nats compare only between models of one "
          "vocabulary, bits per byte between all.</li>\n</ul>\n",
          file);
}
