/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/plan_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/sweeps/settings.h"
#include "lm/options.h"
#include "nn/pool.h"

enum { MAX_RUNS = 100000 };

/* lm_train_options allows no more steps; counts of tokens must fit. */
static const double most_steps = 1e12, most_tokens = 1e18;

/* The training fields of a mapping of the sweep. */
static enum peer_status read_train(struct lab_run_config *config, struct peer_ctx *ctx,
                                   const struct lab_yaml_node *mapping)
{
    const struct lab_yaml_node *train = lab_yaml_get(mapping, "train");
    const struct lab_yaml_node *steps = lab_yaml_get(train, "steps");
    const struct lab_yaml_node *seed = lab_yaml_get(train, "seed");
    if (steps)
        return lab_yaml_complain(ctx, steps, "a sweep's steps follow from its budgets");
    if (seed)
        return lab_yaml_complain(ctx, seed, "a sweep's seeds stand in its list: seeds: [1, 2]");
    return lab_run_config_read_train(config, ctx, train);
}

/* The config of one (size, variant), budget and seed still open; with what the size has of its own,
 * or without. */
static enum peer_status read_config(struct lab_run_config *config, struct peer_ctx *ctx,
                                    const struct lab_recipe *recipe, bool own)
{
    const struct lab_yaml_node *model = lab_yaml_get(recipe->head, "model");
    const struct lab_yaml_node *name = lab_yaml_get(recipe->variant, "name");
    enum peer_status status = lab_run_config_read_size(config, ctx, recipe->size, recipe->variant);
    if (status != PEER_OK)
        return status;
    snprintf(config->data, sizeof config->data, "%s", recipe->data);
    if (recipe->data_name)
        snprintf(config->data_name, sizeof config->data_name, "%s", recipe->data_name);
    status = lab_run_config_read_data(config, ctx, recipe->head);
    if (status == PEER_OK && name)
        status = lab_yaml_name(ctx, config->variant, sizeof config->variant, name);
    if (status == PEER_OK)
        status = lab_run_config_read_model(config, ctx, model);
    if (status == PEER_OK && own)
        status = lab_yaml_options(ctx, &config->model, recipe->size, lm_config_options);
    config->model.vocab = recipe->vocab;
    if (status == PEER_OK)
        status = lab_run_config_read_ffw_options(config, ctx, recipe->variant);
    if (config->train.length > config->model.context)
        config->train.length = config->model.context;
    const struct lab_yaml_node *const levels[] = {recipe->head, own ? recipe->size : NULL,
                                                  recipe->variant};
    for (int i = 0; i < 3 && status == PEER_OK; i++) {
        status = lab_run_config_read_start(config, ctx, levels[i]);
        if (status == PEER_OK)
            status = read_train(config, ctx, levels[i]);
    }
    return status;
}

/* Whether the file gives the field to the variant, rather than leaving it to its default. */
static bool is_said(void *user, const struct lab_setting *setting)
{
    const struct lab_recipe *recipe = user;
    const struct lab_yaml_node *model = lab_yaml_get(recipe->head, "model");
    const struct lab_yaml_node *dense = lab_yaml_get(model, "dense");
    const struct lab_yaml_node *options = lab_yaml_get(recipe->variant, "options");
    const struct lab_yaml_node *group = !strcmp(setting->group, "options") ? options
                                        : !strcmp(setting->group, "dense") ? dense
                                                                           : model;
    return lab_yaml_get(group, setting->name);
}

/* What is the variant's, and not the size's: so that a sweep which gains a size with a rate of its
 * own keeps its variants. */
static enum peer_status read_settings(uint64_t *ret, struct peer_ctx *ctx,
                                      const struct lab_recipe *recipe)
{
    struct lab_run_config config;
    enum peer_status status = read_config(&config, ctx, recipe, false);
    if (status != PEER_OK)
        return status;
    struct lab_recipe said = *recipe;
    *ret = lab_settings_plan_key(&config, is_said, &said);
    return *ret ? PEER_OK : peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a run's settings");
}

enum peer_status lab_plan_run_read(struct lab_plan_run *ret, struct peer_ctx *ctx,
                                   const struct lab_recipe *recipe)
{
    struct lab_plan_run run = {0};
    enum peer_status status = read_config(&run.config, ctx, recipe, true);
    run.config.train.steps = 1;
    if (status == PEER_OK)
        status = read_settings(&run.config.settings, ctx, recipe);
    if (status == PEER_OK)
        status = lm_config_check(ctx, &run.config.model);
    if (status == PEER_OK)
        status = lm_train_config_check(ctx, &run.config.train, &run.config.model);
    if (status != PEER_OK)
        return lab_yaml_blame(ctx, recipe->size, status);
    lab_plan_run_copy(ret, &run);
    return PEER_OK;
}

void lab_plan_run_copy(struct lab_plan_run *ret, const struct lab_plan_run *run)
{
    memcpy(ret, run, sizeof *ret);
    if (ret->config.model.ffw)
        ret->config.model.ffw_config = ret->config.ffw_config;
}

enum peer_status lab_plan_run_budget(struct lab_plan_run *run, struct peer_ctx *ctx, double budget,
                                     const struct lab_yaml_node *blame)
{
    struct lab_run_config *config = &run->config;
    struct peer_cost cost = {0};
    config->budget = budget;
    lm_config_cost(&cost, &config->model, config->train.length);
    run->flops_per_token = peer_cost_train(&cost);
    double step_tokens = (double)(config->train.sequences * config->train.length);
    double step_flops = step_tokens * run->flops_per_token;
    double steps = round(config->budget / step_flops);
    double most = fmin(most_steps, most_tokens / step_tokens);
    char text[256] = "";
    if (steps < 1)
        snprintf(text, sizeof text,
                 "expected at least %.3g, one step of %s at width %lld, %lld blocks: %.0f tokens "
                 "of %.4g FLOPs; got %g",
                 step_flops, config->variant, (long long)config->model.width,
                 (long long)config->model.blocks, step_tokens, run->flops_per_token,
                 config->budget);
    else if (steps > most)
        snprintf(text, sizeof text, "expected at most %.3g: %.3g steps; got %g", step_flops * most,
                 most, config->budget);
    if (*text)
        return blame ? lab_yaml_complain(ctx, blame, text)
                     : peer_fail(ctx, PEER_ERR_ARGUMENT, "budget: %s", text);
    config->train.steps = (int64_t)steps;
    run->tokens = (int64_t)(steps * step_tokens);
    run->flops = (double)run->tokens * run->flops_per_token;
    int64_t pass = config->train.sequences / config->train.accumulate * config->train.length;
    run->memory = peer_size_add(lm_config_memory(&config->model, pass),
                                lm_config_optim_memory(&config->model, &config->train.optim));
    return PEER_OK;
}

/* The pointers into structs that were moved. */
static void repoint(struct lab_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (plan->runs[i].config.model.ffw)
            plan->runs[i].config.model.ffw_config = plan->runs[i].config.ffw_config;
}

enum peer_status lab_plan_append(struct lab_plan *plan, struct peer_ctx *ctx,
                                 const struct lab_plan_run *run)
{
    if (plan->count == MAX_RUNS)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "a sweep of more than %d runs", MAX_RUNS);
    if (plan->count == plan->capacity) {
        int64_t capacity = plan->capacity ? 2 * plan->capacity : 64;
        struct lab_plan_run *runs = realloc(plan->runs, (size_t)capacity * sizeof *runs);
        if (!runs)
            return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %lld runs", (long long)capacity);
        plan->runs = runs;
        plan->capacity = capacity;
        repoint(plan);
    }
    lab_plan_run_copy(&plan->runs[plan->count], run);
    plan->count++;
    return PEER_OK;
}

static int most_flops_first(const void *left, const void *right)
{
    const struct lab_plan_run *a = left, *b = right;
    return (a->flops < b->flops) - (a->flops > b->flops);
}

void lab_plan_sort(struct lab_plan *plan)
{
    qsort(plan->runs, (size_t)plan->count, sizeof *plan->runs, most_flops_first);
    repoint(plan);
}

void lab_plan_free(struct lab_plan *plan)
{
    free(plan->runs);
    free(plan->text);
    *plan = (struct lab_plan){0};
}
