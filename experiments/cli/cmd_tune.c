/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "experiments/cli/stop.h"
#include "experiments/cli/study_options.h"
#include "experiments/study/rates.h"

static const char help[] =
    "Usage: peerlab tune --scale demo|desk --data FOLDER --out FOLDER [OPTIONS]\n\n"
    "Learning rates for a study, by a search on small runs: for every tuned variant and size the\n"
    "loss at rates a factor of two apart, until the lowest is inside; a parabola through the\n"
    "lowest three gives the optimum; a line in log2 width per variant and one slope in log2\n"
    "budget give the rule that the study's runs follow. Then the tables' own rate, relative to\n"
    "that, in steps of four. `reproduce` does this by itself; alone it shows the search.\n\n";

static void print_cell(const struct lab_study *study, const struct lab_rate_cell *cell)
{
    const struct lab_study_size *size = &study->tune.size[cell->size];
    printf("%-16s %6lld %8.2g  ", study->variant[cell->variant].name, (long long)size->width,
           study->tune.budget[cell->budget]);
    for (int64_t i = 0; i < cell->probes; i++)
        printf(" %.3g: %.4f", cell->start * pow(cell->factor, (double)cell->step[i]),
               cell->loss[i]);
    printf("  ->  %.3g%s\n", exp2(cell->log2_best), cell->found ? "" : " (lowest is at the edge)");
}

static void print_rates(const struct lab_study *study, const struct lab_rates *rates)
{
    for (int scale = 0; scale < 2; scale++) {
        printf("%s%-16s %6s %8s   %s: loss ...  ->  optimum\n", scale ? "\n" : "", "variant",
               "width", "budget", scale ? "tables' rate, relative" : "rate");
        for (int64_t i = 0; i < rates->cells; i++)
            if (rates->cell[i].scale == (bool)scale)
                print_cell(study, &rates->cell[i]);
    }
    printf("\nrule: rate = r (width / %.0f)^a (FLOPs / %.2g)^%.3f, off by a factor of %.2f (root "
           "mean square)\n",
           rates->width0, rates->budget0, rates->budget_slope, exp2(rates->residual));
    for (int64_t i = 0; i < rates->rules; i++)
        printf("  %-16s r = %.4g, a = %.2f\n", study->variant[rates->rule[i].variant].name,
               exp2(rates->rule[i].base), rates->rule[i].width_slope);
    for (int64_t i = 0; i < rates->scale_rules; i++)
        printf("  tables of %-6s %.3g N^%.3f (FLOPs / %.2g)^%.3f times that\n",
               rates->scale_rule[i].ffw, exp2(rates->scale_rule[i].base),
               rates->scale_rule[i].slope, rates->budget0, rates->scale_rule[i].budget_slope);
}

struct arguments {
    struct lab_study_options study;
};

static enum peer_status tune(struct peer_ctx *ctx, const struct arguments *a)
{
    struct lab_study *study = NULL;
    struct lab_campaign campaign;
    static struct lab_rates rates; /* some 90 KiB */
    enum peer_status status = lab_study_options_read(&study, ctx, &a->study);
    if (status == PEER_OK) {
        status = lab_study_options_open(&campaign, ctx, study, &a->study, "tune");
        if (status == PEER_OK) {
            status = lab_rates_find(&rates, &campaign);
            if (status == PEER_OK)
                print_rates(study, &rates);
            lab_campaign_close(&campaign);
        }
    }
    lab_study_free(&study);
    return status;
}

int lab_cmd_tune(int argc, char **argv)
{
    static const struct lab_option options[] = {LAB_STUDY_OPTION_ROWS(struct arguments, study),
                                                {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    static char text[sizeof help + 1024];
    struct arguments a = {0};
    int operands = 0;
    snprintf(text, sizeof text, "%s%s", help, lab_study_options_help);
    int status = lab_parse(&a, &operands, argc, argv, text, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands || !a.study.out)
        return lab_usage("tune", "expected --out FOLDER and no operands");
    lab_stop_install();
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    status = lab_report(ctx, tune(ctx, &a));
    peer_ctx_destroy(&ctx);
    return status;
}
