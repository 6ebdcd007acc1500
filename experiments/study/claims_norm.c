/* SPDX-License-Identifier: MIT */
/* Table 2 and Figure 4: BatchNorm of the queries, against none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/claims.h"

typedef double value_of(const struct lab_result *result);

static double unevenness_of(const struct lab_result *result)
{
    return result->usages ? result->usage[0].report.score.unevenness : NAN;
}

/* The run that differs from `row` in the norm of the queries only: it has none. */
static const struct lab_part_row *twin_of(const struct lab_part_rows *rows,
                                          const struct lab_part_row *row)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *other = &rows->row[i];
        if (other->N == row->N && other->size == row->size && other->budget == row->budget &&
            other->seed == row->seed && other->heads == row->heads && other->kept == row->kept &&
            strcmp(other->norm, "none") == 0 && lab_row_done(other))
            return other;
    }
    return NULL;
}

/* With BatchNorm minus without, over the pairs of a part. */
static enum peer_status judge(struct lab_findings *f, struct peer_ctx *ctx, const char *name,
                              value_of *value, const char *what)
{
    const struct lab_finding *finding = lab_findings_part(f, name);
    if (!finding)
        return PEER_OK;
    const struct lab_part_rows *rows = &finding->rows;
    struct lab_pair *pair = calloc((size_t)rows->count + 1, sizeof *pair);
    int64_t count = 0;
    if (!pair)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for pairs");
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        bool batch = strcmp(row->norm, "batch") == 0 && lab_row_done(row);
        const struct lab_part_row *twin = batch ? twin_of(rows, row) : NULL;
        if (twin)
            pair[count++] =
                (struct lab_pair){.size = (int64_t)row->N * LAB_STUDY_SIZES + row->size,
                                  .seed = (uint64_t)row->seed,
                                  .difference = value(row->result) - value(twin->result)};
    }
    struct lab_pooled pooled = lab_effect_pooled(pair, count);
    free(pair);
    char note[160];
    snprintf(note, sizeof note, "%s%smean over %lld %s, %lld pairs", pooled.effect.note,
             *pooled.effect.note ? "; " : "", (long long)pooled.sizes,
             finding->rows.part->sizes > 1 ? "sizes" : "numbers of experts", (long long)count);
    int64_t seeds = pooled.sizes ? (pooled.effect.seeds + pooled.sizes - 1) / pooled.sizes : 0;
    const char *unit = value == unevenness_of ? "nats of unevenness" : "nats";
    lab_claim_set(f, lab_claim_add(f, -1, unit, "%s (%s)", what, name), pooled.effect.mean,
                  pooled.effect.interval, seeds, note);
    return PEER_OK;
}

enum peer_status lab_claims_norm(struct lab_findings *f, struct peer_ctx *ctx)
{
    static const char uneven[] = "query BatchNorm lowers unevenness";
    static const char loss[] = "query BatchNorm lowers loss, slightly";
    enum peer_status status = judge(f, ctx, "table2", unevenness_of, uneven);
    if (status == PEER_OK)
        status = judge(f, ctx, "table2", lab_value_loss, loss);
    return status == PEER_OK ? judge(f, ctx, "fig4", lab_value_loss, loss) : status;
}
