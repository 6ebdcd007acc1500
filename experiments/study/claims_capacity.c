/* SPDX-License-Identifier: MIT */
/* A text of facts: what is expected of a large memory, not what the paper claims. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/claims.h"

static double bits_of(const struct lab_result *result)
{
    return result->facts.facts > 0 ? result->facts.bits : NAN;
}

static bool is_peer(const struct lab_part_row *row)
{
    return row->result && strcmp(row->result->ffw, "peer") == 0 && row->size == 0;
}

static double active_of(const struct lab_part_row *row)
{
    return (double)(row->heads * row->kept);
}

static double experts_of(const struct lab_part_row *row)
{
    return row->N;
}

/* Rows of PEER at the part's first size which share the most usual value of `same`: a trend is over
 * what else they differ in. */
static void take_rows(bool *take, const struct lab_part_rows *rows,
                      double (*same)(const struct lab_part_row *row))
{
    double usual = 0;
    int64_t most = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        int64_t count = 0;
        for (int64_t j = 0; j < rows->count && is_peer(&rows->row[i]); j++)
            count += is_peer(&rows->row[j]) && same(&rows->row[j]) == same(&rows->row[i]);
        if (count > most) {
            most = count;
            usual = same(&rows->row[i]);
        }
    }
    for (int64_t i = 0; i < rows->count; i++)
        take[i] = is_peer(&rows->row[i]) && same(&rows->row[i]) == usual;
}

enum peer_status lab_claims_capacity(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *capacity = lab_findings_part(f, "capacity");
    if (!capacity)
        return PEER_OK;
    bool *take = calloc((size_t)capacity->rows.count + 1, sizeof *take);
    if (!take)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    struct lab_trend_claim trend = {.finding = capacity,
                                    .axis = lab_axis_experts,
                                    .value = bits_of,
                                    .take = take,
                                    .direction = 1,
                                    .unit = "bits per decade",
                                    .text =
                                        "facts: bits learned grow with the number of experts N"};
    take_rows(take, &capacity->rows, active_of);
    enum peer_status status = lab_claim_trend(f, ctx, &trend);
    trend.axis = lab_axis_active;
    trend.text = "facts: bits learned grow with the active experts h k";
    take_rows(take, &capacity->rows, experts_of);
    if (status == PEER_OK)
        status = lab_claim_trend(f, ctx, &trend);
    free(take);
    return status;
}
