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

/* Rows of PEER at the part's first size: with the most usual h k, for the trend over N, or with the
 * largest N, for that over h k. */
static void take_rows(bool *take, const struct lab_part_rows *rows, bool over_N)
{
    double most_N = 0;
    int64_t usual = 0, usual_count = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        int64_t count = 0, active = row->heads * row->kept;
        for (int64_t j = 0; j < rows->count; j++)
            count += rows->row[j].heads * rows->row[j].kept == active;
        if (row->N > 0 && count > usual_count) {
            usual = active;
            usual_count = count;
        }
        most_N = fmax(most_N, row->N);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        bool peer = row->result && strcmp(row->result->ffw, "peer") == 0 && row->size == 0;
        take[i] = peer && (over_N ? row->heads * row->kept == usual : row->N == most_N);
    }
}

enum peer_status lab_claims_capacity(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *capacity = lab_findings_part(f, "capacity");
    if (!capacity)
        return PEER_OK;
    bool *take = calloc((size_t)capacity->rows.count + 1, sizeof *take);
    if (!take)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    struct lab_trend_of trend = {.finding = capacity,
                                 .axis = lab_axis_experts,
                                 .value = bits_of,
                                 .take = take,
                                 .direction = 1,
                                 .unit = "bits per decade",
                                 .text = "facts: bits learned grow with the number of experts N"};
    take_rows(take, &capacity->rows, true);
    enum peer_status status = lab_claim_trend(f, ctx, &trend);
    trend.axis = lab_axis_active;
    trend.text = "facts: bits learned grow with the active experts h k";
    take_rows(take, &capacity->rows, false);
    if (status == PEER_OK)
        status = lab_claim_trend(f, ctx, &trend);
    free(take);
    return status;
}
