/* SPDX-License-Identifier: MIT */
#include "experiments/study/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/shell_word.h"

double lab_run_table_size(const struct lab_run_config *config)
{
    static const char *const names[] = {"experts", "memories"};
    const struct peer_ffw_type *ffw = config->model.ffw;
    if (!ffw || !peer_option_find(ffw->options, "table_lr_scale"))
        return 0;
    for (int i = 0; i < 2; i++) {
        const struct peer_option *option = peer_option_find(ffw->options, names[i]);
        if (option)
            return (double)*(const int64_t *)(const void *)(config->ffw_config + option->offset);
    }
    return 0;
}

/* Three digits, so that a rate is the same text whatever the last bits of a fit. */
static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return strtod(text, NULL);
}

static float *table_scale(struct lab_run_config *config)
{
    const struct peer_ffw_type *ffw = config->model.ffw;
    const struct peer_option *option =
        ffw ? peer_option_find(ffw->options, "table_lr_scale") : NULL;
    return option ? (float *)(void *)(config->ffw_config + option->offset) : NULL;
}

static const struct lab_rate_rule *rule_of(const struct lab_rates *rates,
                                           const struct lab_study *study, int variant)
{
    int tuned = lab_study_variant_find(study, study->variant[variant].rate);
    for (int64_t i = 0; i < rates->rules; i++)
        if (rates->rule[i].variant == tuned)
            return &rates->rule[i];
    return NULL;
}

enum peer_status lab_rates_apply(const struct lab_rates *rates, struct lab_campaign *campaign,
                                 struct lab_plan_run *run, int variant)
{
    const struct lab_study *study = campaign->study;
    const struct lab_rate_rule *rule = rule_of(rates, study, variant);
    const struct lab_scale_rule *scales = lab_rates_scale(rates, study->variant[variant].ffw);
    float *scale = table_scale(&run->config);
    double log2_lr = log2((double)run->config.train.lr);
    if (rule)
        log2_lr = rule->base +
                  rule->width_slope * log2((double)run->config.model.width / rates->width0) +
                  rates->budget_slope * log2(run->config.budget / rates->budget0);
    run->config.train.lr = (float)fmin(1, rounded(exp2(log2_lr)));
    if (scale && scales) {
        double N = lab_run_table_size(&run->config);
        *scale =
            (float)rounded(exp2(scales->base + scales->slope * log2(N) +
                                scales->budget_slope * log2(run->config.budget / rates->budget0)));
    }
    return lm_train_config_check(campaign->ctx, &run->config.train, &run->config.model);
}

static struct lab_point point_of(const struct lab_study *study, const struct lab_rate_cell *cell)
{
    return (struct lab_point){.variant = cell->variant,
                              .size = cell->size,
                              .budget = cell->budget,
                              .seed = study->seed[0]};
}

/* A probe as a run. Its name keeps it apart from the study's own runs. */
static enum peer_status probe_run(struct lab_plan_run *run, const struct lab_rates *rates,
                                  struct lab_campaign *campaign, const struct lab_rate_cell *cell,
                                  int64_t step)
{
    const struct lab_study *study = campaign->study;
    enum peer_status status =
        lab_study_run(run, campaign->ctx, study, &rates->tune, point_of(study, cell));
    double value = rounded(cell->start * pow(cell->factor, (double)step));
    if (status == PEER_OK)
        status = lab_rates_apply(rates, campaign, run, cell->variant);
    if (status == PEER_OK && cell->scale)
        *table_scale(&run->config) = (float)value;
    else if (status == PEER_OK)
        run->config.train.lr = (float)value;
    run->config.train.usage_points = run->config.train.usage_tokens = 0;
    snprintf(run->config.variant, sizeof run->config.variant, "%s-%.38s",
             cell->scale ? "scale" : "rate", study->variant[cell->variant].name);
    return status;
}

/* Plans the next probe of every cell from `first` on. */
static enum peer_status plan_round(struct lab_plan *plan, int64_t *owner, int64_t *step,
                                   struct lab_rates *rates, struct lab_campaign *campaign,
                                   int64_t first)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = first; i < rates->cells && status == PEER_OK; i++) {
        struct lab_rate_cell cell = rates->cell[i];
        for (int64_t next; status == PEER_OK && plan->count < LAB_CELLS * 3 &&
                           (next = lab_rate_cell_next(&cell)) != INT64_MAX;) {
            struct lab_plan_run run;
            status = probe_run(&run, rates, campaign, &cell, next);
            owner[plan->count] = i;
            step[plan->count] = next;
            if (status == PEER_OK)
                status = lab_plan_append(plan, campaign->ctx, &run);
            if (cell.probes >= 2) /* the first three at once, then one by one */
                break;
            lab_rate_cell_insert(&cell, next, NAN);
        }
    }
    return status;
}

static enum peer_status fit_cells(struct lab_rates *rates, const struct lab_campaign *campaign,
                                  int64_t first)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = first; i < rates->cells && status == PEER_OK; i++) {
        struct lab_rate_cell *cell = &rates->cell[i];
        lab_rate_cell_fit(cell);
        if (lab_rate_cell_lowest(cell) < 0 && !campaign->plan_only) {
            char word[4 * LAB_PATH];
            lab_shell_word(word, sizeof word, campaign->sweep.folder);
            status = peer_fail(campaign->ctx, PEER_ERR_ARGUMENT,
                               "no rate of %s at width %lld could be tried: `peerlab sweep status "
                               "%s` says why; --retry tries again",
                               campaign->study->variant[cell->variant].name,
                               (long long)rates->tune.size[cell->size].width, word);
        }
    }
    return status;
}

/* Probes until every cell from `first` on has its lowest loss inside. */
static enum peer_status search(struct lab_rates *rates, struct lab_campaign *campaign,
                               int64_t first)
{
    static const int64_t most = LAB_CELLS * 3;
    const struct lab_result **results = calloc((size_t)most, sizeof *results);
    int64_t *owner = calloc((size_t)most, sizeof *owner),
            *step = calloc((size_t)most, sizeof *step);
    enum peer_status status =
        results && owner && step
            ? PEER_OK
            : peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for %d probes", (int)most);
    for (int64_t inserted = 1; inserted > 0 && status == PEER_OK;) {
        struct lab_plan plan = {.threads = 1};
        snprintf(plan.name, sizeof plan.name, "learning rates");
        inserted = 0;
        status = plan_round(&plan, owner, step, rates, campaign, first);
        if (status == PEER_OK && plan.count > 0)
            status = lab_campaign_train(campaign, &plan, results);
        for (int64_t i = 0; i < plan.count && status == PEER_OK; i++) {
            const struct lab_result *r = results[i];
            if (!r && campaign->plan_only)
                continue;
            bool ran = r && r->state != LAB_FAILED;
            double loss = !ran ? NAN : r->state == LAB_DONE ? r->nats : INFINITY;
            lab_rate_cell_insert(&rates->cell[owner[i]], step[i], loss);
            inserted++;
        }
        lab_plan_free(&plan);
    }
    if (status == PEER_OK)
        status = fit_cells(rates, campaign, first);
    free(results);
    free(owner);
    free(step);
    return status;
}

static enum peer_status add_cell(struct lab_rates *rates, struct peer_ctx *ctx,
                                 const struct lab_rate_cell *cell)
{
    if (rates->cells == LAB_CELLS)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "tune: more than %d searches: fewer variants, sizes or budgets",
                         LAB_CELLS);
    rates->cell[rates->cells++] = *cell;
    return PEER_OK;
}

static enum peer_status add_rate_cells(struct lab_rates *rates, struct lab_campaign *campaign)
{
    const struct lab_study *study = campaign->study;
    const struct lab_part *tune = &rates->tune;
    for (int64_t v = 0; v < tune->variants; v++)
        for (int64_t b = 0; b < tune->budgets; b++)
            for (int64_t s = 0; s < tune->sizes; s++) {
                struct lab_plan_run run;
                struct lab_rate_cell cell = {
                    .variant = tune->variant[v], .size = s, .budget = b, .factor = 2};
                if (b > 0 && s != tune->sizes / 2)
                    continue;
                enum peer_status status =
                    lab_study_run(&run, campaign->ctx, study, tune, point_of(study, &cell));
                if (status != PEER_OK)
                    return status;
                cell.start = (double)run.config.train.lr;
                status = add_cell(rates, campaign->ctx, &cell);
                if (status != PEER_OK)
                    return status;
            }
    return PEER_OK;
}

/* At tune's middle size. A variant without a table gets none. */
static enum peer_status add_scale_cell(struct lab_rates *rates, struct lab_campaign *campaign,
                                       int variant, int64_t budget)
{
    struct lab_plan_run run;
    struct lab_rate_cell cell = {.variant = variant,
                                 .scale = true,
                                 .size = rates->tune.sizes / 2,
                                 .budget = budget,
                                 .factor = 4};
    enum peer_status status = lab_study_run(&run, campaign->ctx, campaign->study, &rates->tune,
                                            point_of(campaign->study, &cell));
    const float *scale = status == PEER_OK ? table_scale(&run.config) : NULL;
    if (!scale)
        return status;
    cell.start = (double)*scale;
    cell.N = lab_run_table_size(&run.config);
    return add_cell(rates, campaign->ctx, &cell);
}

static enum peer_status add_scale_cells(struct lab_rates *rates, struct lab_campaign *campaign)
{
    const struct lab_study *study = campaign->study;
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < study->scales; i++)
        for (int64_t b = 0; b < rates->tune.budgets && status == PEER_OK; b++) {
            int64_t before = rates->cells;
            status = add_scale_cell(rates, campaign, study->scale[i], b);
            if (status == PEER_OK && rates->cells == before)
                status =
                    lab_yaml_complain(campaign->ctx, study->variant[study->scale[i]].node,
                                      "in tune.scales, but it has no table with a rate of its own");
        }
    return status;
}

/* Searches the rates of rates->tune and fits their rules. */
static enum peer_status find_rates(struct lab_rates *rates, struct lab_campaign *campaign)
{
    int64_t first = rates->cells;
    enum peer_status status = add_rate_cells(rates, campaign);
    if (status == PEER_OK)
        status = search(rates, campaign, first);
    if (status == PEER_OK)
        lab_rates_fit_rules(rates);
    return status;
}

static enum peer_status find_scales(struct lab_rates *rates, struct lab_campaign *campaign)
{
    int64_t first = rates->cells;
    enum peer_status status = add_scale_cells(rates, campaign);
    if (status == PEER_OK)
        status = search(rates, campaign, first);
    if (status == PEER_OK)
        lab_rates_fit_scales(rates, campaign->study, first);
    return status;
}

/* The tables' own rates of the tuned variants, at the learning rate that the part begins with: one
 * N each, so that the rule keeps its slope. */
static enum peer_status find_own_scales(struct lab_rates *rates, struct lab_campaign *campaign)
{
    enum peer_status status = PEER_OK;
    for (int64_t v = 0; v < rates->tune.variants && status == PEER_OK; v++)
        status = add_scale_cell(rates, campaign, rates->tune.variant[v], 0);
    if (status == PEER_OK)
        status = search(rates, campaign, 0);
    if (status == PEER_OK)
        lab_rates_move_scales(rates, campaign->study);
    return status;
}

enum peer_status lab_rates_find(struct lab_rates *ret, struct lab_campaign *campaign)
{
    struct lab_rates *rates = calloc(1, sizeof *rates);
    if (!rates)
        return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the rates");
    rates->tune = campaign->study->tune;
    rates->width0 = (double)rates->tune.size[rates->tune.sizes / 2].width;
    rates->budget0 = rates->tune.budget[0];
    enum peer_status status = lab_rates_pin_origin(rates, campaign);
    if (status == PEER_OK)
        status = find_rates(rates, campaign);
    if (status == PEER_OK) /* probes of the scales are at the rates that stay */
        status = lab_rates_pin(rates, campaign);
    if (status == PEER_OK)
        status = find_scales(rates, campaign);
    if (status == PEER_OK)
        status = lab_rates_pin(rates, campaign);
    if (status == PEER_OK && !campaign->plan_only)
        status = lab_rates_keep(rates, campaign);
    if (status == PEER_OK)
        memcpy(ret, rates, sizeof *ret);
    free(rates);
    return status;
}

enum peer_status lab_rates_find_own(struct lab_rates *ret, struct lab_campaign *campaign,
                                    const struct lab_part *part, const struct lab_rates *study)
{
    struct lab_rates *rates = calloc(1, sizeof *rates);
    if (!rates)
        return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the rates");
    rates->tune = *part;
    rates->width0 = (double)part->size[part->sizes / 2].width;
    rates->budget0 = part->budget[0];
    rates->tune.budgets = 1;
    rates->tune.variants = 0;
    for (int64_t i = 0; i < study->rules; i++) { /* each tuned variant once, if it is referred to */
        bool used = false;
        for (int64_t v = 0; v < part->variants; v++)
            used |= rule_of(study, campaign->study, part->variant[v]) == &study->rule[i];
        if (used)
            rates->tune.variant[rates->tune.variants++] = study->rule[i].variant;
    }
    rates->scale_rules = study->scale_rules;
    memcpy(rates->scale_rule, study->scale_rule, sizeof rates->scale_rule);
    enum peer_status status = find_own_scales(rates, campaign);
    if (status == PEER_OK)
        status = find_rates(rates, campaign);
    if (status == PEER_OK)
        memcpy(ret, rates, sizeof *ret);
    free(rates);
    return status;
}
