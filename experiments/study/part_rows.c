/* SPDX-License-Identifier: MIT */
#include "experiments/study/part_seeds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/file.h"

/* The plan of a part while it grows, with a row for every run. */
struct growth {
    struct lab_campaign *campaign;
    const struct lab_rates *rates;
    struct lab_part_rows *rows;
    struct lab_plan plan;
    int64_t capacity;
};

static int64_t integer_option(const struct lab_run_config *config, const char *name)
{
    const struct peer_ffw_type *ffw = config->model.ffw;
    const struct peer_option *option = ffw ? peer_option_find(ffw->options, name) : NULL;
    bool integer = option && option->kind == PEER_OPTION_INT;
    return integer ? *(const int64_t *)(const void *)(config->ffw_config + option->offset) : 0;
}

static void describe(struct lab_part_row *row, const struct lab_plan_run *run)
{
    const struct lab_run_config *config = &run->config;
    const struct peer_ffw_type *ffw = config->model.ffw;
    row->lr = (double)config->train.lr;
    row->N = lab_run_table_size(config);
    row->flops_per_token = run->flops_per_token;
    row->step_tokens = config->train.sequences * config->train.length;
    if (row->N <= 0)
        return;
    char text[32];
    row->heads = integer_option(config, "heads");
    row->kept = integer_option(config, "kept");
    peer_option_text(text, sizeof text, config->ffw_config,
                     peer_option_find(ffw->options, "table_lr_scale"));
    row->scale = strtod(text, NULL);
    peer_option_text(text, sizeof text, config->ffw_config,
                     peer_option_find(ffw->options, "query_norm"));
    snprintf(row->norm, sizeof row->norm, "%.11s", text);
}

static enum peer_status add(struct growth *g, struct lab_point point)
{
    struct lab_campaign *campaign = g->campaign;
    const struct lab_part *part = g->rows->part;
    struct lab_plan_run run;
    if (g->rows->count == g->capacity) {
        int64_t capacity = g->capacity ? 2 * g->capacity : 64;
        struct lab_part_row *grown = realloc(g->rows->row, (size_t)capacity * sizeof *g->rows->row);
        if (!grown)
            return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for %lld runs of %s",
                             (long long)capacity, part->name);
        g->rows->row = grown;
        g->capacity = capacity;
    }
    struct lab_part_row *row = &g->rows->row[g->rows->count];
    *row = (struct lab_part_row){
        .variant = point.variant, .size = point.size, .budget = point.budget, .seed = point.seed};
    enum peer_status status = lab_study_run(&run, campaign->ctx, campaign->study, part, point);
    if (status == PEER_OK)
        status = lab_rates_apply(g->rates, campaign, &run, point.variant);
    if (status != PEER_OK)
        return status;
    describe(row, &run);
    status = lab_plan_append(&g->plan, campaign->ctx, &run);
    g->rows->count += status == PEER_OK;
    return status;
}

static enum peer_status train(struct growth *g)
{
    struct lab_part_rows *rows = g->rows;
    const struct lab_result **results = calloc((size_t)rows->count + 1, sizeof *results);
    enum peer_status status =
        results ? lab_campaign_train(g->campaign, &g->plan, results)
                : peer_fail(g->campaign->ctx, PEER_ERR_MEMORY, "no memory for results");
    for (int64_t i = 0; i < rows->count && status == PEER_OK; i++)
        rows->row[i].result = results[i];
    free(results);
    return status;
}

bool lab_row_done(const struct lab_part_row *row)
{
    return row->result && row->result->state == LAB_DONE && isfinite(row->result->nats);
}

double lab_part_mean(const struct lab_part_rows *rows, int variant, int64_t size, int64_t budget,
                     int64_t *count)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant != variant || row->size != size || row->budget != budget ||
            !lab_row_done(row))
            continue;
        sum += row->result->nats;
        n++;
    }
    if (count)
        *count = n;
    return n ? sum / (double)n : NAN;
}

const struct lab_part_row *lab_part_find(const struct lab_part_rows *rows, int variant,
                                         int64_t size, int64_t budget, int64_t seed)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant == variant && row->size == size && row->budget == budget &&
            row->seed == seed && lab_row_done(row))
            return row;
    }
    return NULL;
}

/* Seed by seed and budget by budget, all variants beside one another: what there is after a stop
 * can be compared. */
static enum peer_status add_grid(struct growth *g, int64_t seeds)
{
    const struct lab_part *part = g->rows->part;
    int64_t everywhere = part->sizes == 1 || part->facts ? seeds : 1;
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < everywhere; i++)
        for (int64_t b = 0; b < part->budgets; b++)
            for (int64_t s = 0; s < part->sizes; s++)
                for (int64_t v = 0; v < part->variants && status == PEER_OK; v++)
                    if (lab_study_planned(part, s, b) && i < lab_study_seeds(part, b, seeds))
                        status = add(g, (struct lab_point){part->variant[v], s, b,
                                                           g->campaign->study->seed[i]});
    return status;
}

enum peer_status lab_part_make_text(struct lab_campaign *campaign, const struct lab_part *part)
{
    const struct lab_work work = {.stopped = campaign->jobs.stop, .show = true};
    struct lab_facts_options options = part->make;
    struct lab_facts_config config;
    struct lab_facts_text text;
    char path[LAB_PATH + 16];
    snprintf(path, sizeof path, "%s/facts.json", part->data);
    options.out = part->data;
    bool there = false;
    enum peer_status status = peer_file_there(&there, campaign->ctx, NULL, path);
    if (status != PEER_OK)
        return status;
    return there ? PEER_OK : lab_facts_make(&config, &text, campaign->ctx, &options, &work);
}

/* The other seeds, which follow from what is there, until nothing more is wanted. Where something
 * is not done, a list of jobs counts what follows from it and does not write it. */
static enum peer_status train_seeds(struct growth *g, int64_t seeds)
{
    const struct lab_part_rows *rows = g->rows;
    struct lab_campaign *campaign = g->campaign;
    struct lab_job_list *list = campaign->list;
    bool only_count = list && list->only_count;
    int64_t most = 3 * seeds * rows->part->budgets * rows->part->variants, wanted;
    struct lab_point *point = calloc((size_t)most, sizeof *point);
    enum peer_status status =
        point ? PEER_OK : peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for seeds");
    while (status == PEER_OK &&
           (wanted = lab_part_seeds(point, rows, campaign->study->seed, seeds)) > 0) {
        for (int64_t i = 0; i < rows->count && list; i++)
            list->only_count |= !rows->row[i].result;
        for (int64_t i = 0; i < wanted && status == PEER_OK; i++)
            status = add(g, point[i]);
        if (status == PEER_OK)
            status = train(g);
    }
    free(point);
    if (list)
        list->only_count = only_count;
    return status;
}

enum peer_status lab_part_train(struct lab_part_rows *ret, struct lab_campaign *campaign,
                                const struct lab_rates *rates, const struct lab_part *part,
                                int64_t seeds)
{
    struct lab_part_rows rows = {.part = part};
    struct growth g = {.campaign = campaign, .rates = rates, .rows = &rows, .plan.threads = 1};
    if (seeds > campaign->study->seeds)
        seeds = campaign->study->seeds;
    snprintf(g.plan.name, sizeof g.plan.name, "%s", part->name);
    enum peer_status status = add_grid(&g, seeds);
    if (status == PEER_OK)
        status = train(&g);
    if (status == PEER_OK && part->sizes > 1 && !part->facts && seeds > 1)
        status = train_seeds(&g, seeds);
    lab_plan_free(&g.plan);
    if (status != PEER_OK) {
        lab_part_rows_free(&rows);
        return status;
    }
    *ret = rows;
    return PEER_OK;
}

/* A row minus the run of another variant with its size, budget and seed; false where one is not
 * done. */
static bool pair_of(struct lab_pair *ret, const struct lab_part_rows *rows,
                    const struct lab_part_row *row, int base)
{
    const struct lab_part_row *other =
        lab_row_done(row) ? lab_part_find(rows, base, row->size, row->budget, row->seed) : NULL;
    if (!other)
        return false;
    *ret = (struct lab_pair){.size = row->size,
                             .seed = (uint64_t)row->seed,
                             .difference = row->result->nats - other->result->nats};
    return true;
}

struct lab_effect lab_part_effect(const struct lab_part_rows *rows, int variant, int base,
                                  int64_t size, int64_t budget)
{
    double difference[LAB_STUDY_SEEDS];
    int64_t count = 0;
    for (int64_t i = 0; i < rows->count && count < LAB_STUDY_SEEDS; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant != variant || row->size != size || row->budget != budget ||
            !lab_row_done(row))
            continue;
        const struct lab_part_row *other = lab_part_find(rows, base, size, budget, row->seed);
        if (other)
            difference[count++] = row->result->nats - other->result->nats;
    }
    return lab_effect_paired(difference, count);
}

int64_t lab_part_pairs(struct lab_pair *ret, const struct lab_part_rows *rows, int variant,
                       int base, int64_t budget)
{
    int64_t count = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant == variant && row->budget == budget)
            count += pair_of(&ret[count], rows, row, base);
    }
    return count;
}

enum peer_status lab_part_plan(struct lab_plan *ret, struct lab_campaign *campaign,
                               const struct lab_rates *rates, const struct lab_part *part)
{
    struct lab_part_rows rows = {.part = part};
    struct growth g = {.campaign = campaign, .rates = rates, .rows = &rows, .plan.threads = 1};
    enum peer_status status = add_grid(&g, 1);
    lab_part_rows_free(&rows);
    if (status != PEER_OK)
        lab_plan_free(&g.plan);
    else
        *ret = g.plan;
    return status;
}

void lab_part_rows_free(struct lab_part_rows *rows)
{
    free(rows->row);
    *rows = (struct lab_part_rows){0};
}
