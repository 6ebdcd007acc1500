/* SPDX-License-Identifier: MIT */
#include "experiments/cli/usage_print.h"

#include <math.h>
#include <stdio.h>

static void print_stats(const char *name, const struct lm_usage_stats *s)
{
    printf("  %-16s %7.2f %% %11.4f %7.4f %8.2f %% %8.2f %% %8.2f %%\n", name, 100 * s->used,
           s->unevenness, s->gini, 100 * s->hold50, 100 * s->hold90, 100 * s->hold99);
}

/* NaN as "-". */
static void print_value(const char *name, double value, const char *format)
{
    char text[32] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, format, value);
    printf("%s%s", name, text);
}

static void print_load(const struct lm_usage_load *load)
{
    print_value("  load: entropy ", load->entropy, "%.4f");
    print_value(" nats (", 100 * load->entropy_share, "%.2f %% of log N");
    print_value("), CV ", load->cv, "%.4f");
    print_value(", highest over mean ", load->peak, "%.3f");
    print_value("\n  dropped choices ", 100 * load->dropped, "%.2f %%");
    print_value(", unserved tokens ", 100 * load->unserved, "%.2f %%");
    putchar('\n');
}

enum peer_status lab_usage_print(struct peer_ctx *ctx, struct lm_usage *const *usage,
                                 int64_t blocks)
{
    enum peer_status status = PEER_OK;
    for (int64_t block = 0; block < blocks && status == PEER_OK; block++) {
        struct lm_usage_report report;
        if (!usage[block])
            continue;
        status = lm_usage_summarize(&report, ctx, usage[block]);
        if (status != PEER_OK)
            break;
        printf("\nblock %lld: %lld experts, %lld tokens\n", (long long)block,
               (long long)usage[block]->experts, (long long)usage[block]->tokens);
        printf("  %-16s %9s %11s %7s %10s %10s %10s\n", "weighted by", "used", "unevenness", "gini",
               "hold 50 %", "hold 90 %", "hold 99 %");
        print_stats("gate", &report.score);
        print_stats("retrieval", &report.count);
        print_load(&report.load);
        printf("  first in a head: %.2f %% of the experts; as many uniform draws would reach "
               "%.2f %%\n",
               100 * report.top1_used, 100 * report.expected_used);
        print_value("  retrieved by several heads: ", 100 * report.head_overlap,
                    "%.2f %% of a token's experts");
        putchar('\n');
    }
    return status;
}
