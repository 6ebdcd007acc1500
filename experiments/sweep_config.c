/* SPDX-License-Identifier: MIT */
#include "experiments/sweep_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/dataset.h"
#include "lm/options.h"

enum { MAX_RUNS = 100000 };

static const char *const sweep_keys[] = {"name",  "data",    "budgets", "sizes", "variants",
                                         "seeds", "threads", "model",   "train", NULL};
static const char *const size_keys[] = {"width", "blocks", "heads", "train", NULL};
static const char *const variant_keys[] = {"name", "ffw", "options", "sparse_at", "train", NULL};
static const char *const model_keys[] = {"dense", "heads", "context", "vocab", NULL};

const char lab_sweep_example[] =
    "name: first\n"
    "data: data/books            # a folder made by peerlab data prepare\n"
    "budgets: [1e12, 4e12]       # FLOPs per run\n"
    "sizes:                      # at least five for a parabola with an interval\n"
    "  - {width: 32, blocks: 3}\n"
    "  - {width: 48, blocks: 3}\n"
    "  - {width: 64, blocks: 4}\n"
    "  - {width: 96, blocks: 4}\n"
    "  - {width: 128, blocks: 4}\n"
    "variants:                   # names are yours; ffw and options as peerlab variants lists\n"
    "  - {name: dense, ffw: dense}\n"
    "  - {name: pkm-4k, ffw: pkm, options: {memories: 4096, heads: 4, kept: 16}}\n"
    "  - {name: peer-4k, ffw: peer, options: {experts: 4096, heads: 4, kept: 16}}\n"
    "seeds: [1, 2]               # one seed tells nothing about noise\n"
    "model: {context: 128}       # fields of every model\n"
    "train: {sequences: 8, length: 128, lr: 0.004}   # a size or a variant may have its own\n";

/* What is being expanded, with the nodes to blame. */
struct expansion {
    struct peer_ctx *ctx;
    struct lab_plan *plan;
    const struct lab_yaml_node *root, *budgets, *sizes, *variants, *seeds;
    int64_t vocab;
    int64_t capacity;
};

static enum peer_status required_list(struct expansion *x, const struct lab_yaml_node **ret,
                                      const char *key, const char *what)
{
    char text[128];
    *ret = lab_yaml_get(x->root, key);
    if (*ret && lab_yaml_count(*ret) >= 1)
        return PEER_OK;
    if (*ret)
        return lab_yaml_expected(x->ctx, *ret, what);
    snprintf(text, sizeof text, "the field %s is missing: %s", key, what);
    return lab_yaml_complain(x->ctx, x->root, text);
}

static enum peer_status read_train(struct lab_run_config *config, struct peer_ctx *ctx,
                                   const struct lab_yaml_node *mapping)
{
    const struct lab_yaml_node *train = lab_yaml_get(mapping, "train");
    if (!train)
        return PEER_OK;
    enum peer_status status = lab_yaml_keys(ctx, train, NULL, lm_train_options);
    if (status == PEER_OK && lab_yaml_get(train, "steps"))
        status = lab_yaml_complain(ctx, lab_yaml_get(train, "steps"),
                                   "a sweep's steps follow from its budgets");
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, &config->train, train, lm_train_options);
    return status;
}

/* The run config of one (size, variant), budget and seed still open. */
static enum peer_status read_pair(struct lab_run_config *config, struct expansion *x,
                                  const struct lab_yaml_node *size,
                                  const struct lab_yaml_node *variant)
{
    struct peer_ctx *ctx = x->ctx;
    const struct lab_yaml_node *width = lab_yaml_get(size, "width");
    const struct lab_yaml_node *blocks = lab_yaml_get(size, "blocks");
    const struct lab_yaml_node *model = lab_yaml_get(x->root, "model");
    const struct peer_ffw_type *ffw = NULL;
    int64_t D = 0, L = 0;
    enum peer_status status = lab_yaml_keys(ctx, size, size_keys, NULL);
    if (status == PEER_OK && (!width || !blocks))
        return lab_yaml_complain(ctx, size, "the fields width and blocks are needed");
    if (status == PEER_OK)
        status = lab_yaml_integer(ctx, &D, width, 2, 16384);
    if (status == PEER_OK)
        status = lab_yaml_integer(ctx, &L, blocks, 1, LM_MAX_BLOCKS);
    if (status == PEER_OK)
        status = lab_yaml_keys(ctx, variant, variant_keys, NULL);
    if (status == PEER_OK)
        status = lab_run_config_read_ffw(&ffw, ctx, variant);
    if (status != PEER_OK)
        return status;
    lab_run_config_default(config, D, L, ffw);
    memcpy(config->data, x->plan->data, sizeof config->data);
    const char *name = lab_yaml_scalar(lab_yaml_get(variant, "name"));
    if (name)
        snprintf(config->variant, sizeof config->variant, "%s", name);
    if (model)
        status = lab_yaml_keys(ctx, model, model_keys, NULL);
    if (status == PEER_OK)
        status = lab_run_config_read_model(config, ctx, model);
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, &config->model, size, lm_config_options);
    config->model.vocab = x->vocab;
    if (status == PEER_OK)
        status = lab_run_config_read_ffw_options(config, ctx, variant);
    if (config->train.length > config->model.context)
        config->train.length = config->model.context;
    if (status == PEER_OK)
        status = read_train(config, ctx, x->root);
    if (status == PEER_OK)
        status = read_train(config, ctx, size);
    if (status == PEER_OK)
        status = read_train(config, ctx, variant);
    return status;
}

/* Turns a reason that names no place into one that does. */
static enum peer_status blame(struct peer_ctx *ctx, const struct lab_yaml_node *node)
{
    char reason[300];
    snprintf(reason, sizeof reason, "%s", peer_ctx_error(ctx));
    return lab_yaml_complain(ctx, node, reason);
}

static enum peer_status set_steps(struct lab_plan_run *run, struct expansion *x,
                                  const struct lab_yaml_node *budget)
{
    struct lab_run_config *config = &run->config;
    struct peer_cost cost = {0};
    lm_config_cost(&cost, &config->model, config->train.length);
    run->flops_per_token = peer_cost_train(&cost);
    double step_tokens = (double)(config->train.sequences * config->train.length);
    double steps = round(config->budget / (run->flops_per_token * step_tokens));
    if (steps < 1) {
        char text[256];
        snprintf(text, sizeof text,
                 "%g FLOPs do not pay for one step of %s at width %lld, %lld blocks: "
                 "%.0f tokens x %.4g FLOPs = %.3g",
                 config->budget, config->variant, (long long)config->model.width,
                 (long long)config->model.blocks, step_tokens, run->flops_per_token,
                 step_tokens * run->flops_per_token);
        return lab_yaml_complain(x->ctx, budget, text);
    }
    config->train.steps = (int64_t)steps;
    run->tokens = (int64_t)(steps * step_tokens);
    run->flops = (double)run->tokens * run->flops_per_token;
    int64_t pass = config->train.sequences / config->train.accumulate * config->train.length;
    run->memory = lm_config_memory(&config->model, pass) + lm_config_optim_memory(&config->model);
    return PEER_OK;
}

static enum peer_status append(struct expansion *x, const struct lab_plan_run *run)
{
    struct lab_plan *plan = x->plan;
    if (plan->count == MAX_RUNS)
        return peer_fail(x->ctx, PEER_ERR_ARGUMENT, "a sweep of more than %d runs", MAX_RUNS);
    if (plan->count == x->capacity) {
        int64_t capacity = x->capacity ? 2 * x->capacity : 64;
        struct lab_plan_run *runs = realloc(plan->runs, (size_t)capacity * sizeof *runs);
        if (!runs)
            return peer_fail(x->ctx, PEER_ERR_MEMORY, "no memory for %lld runs",
                             (long long)capacity);
        plan->runs = runs;
        x->capacity = capacity;
    }
    memcpy(&plan->runs[plan->count], run, sizeof *run);
    plan->count++;
    return PEER_OK;
}

static enum peer_status expand_pair(struct expansion *x, const struct lab_yaml_node *size,
                                    const struct lab_yaml_node *variant)
{
    struct lab_plan_run run = {0};
    enum peer_status status = read_pair(&run.config, x, size, variant);
    int64_t seeds = x->seeds ? lab_yaml_count(x->seeds) : 1;
    int64_t budgets = lab_yaml_count(x->budgets);
    for (int64_t i = 0; status == PEER_OK && i < budgets * seeds; i++) {
        const struct lab_yaml_node *budget = lab_yaml_item(x->budgets, i / seeds);
        int64_t seed = 1;
        status = lab_yaml_number(x->ctx, &run.config.budget, budget, 1, 1e30);
        if (status == PEER_OK && x->seeds)
            status = lab_yaml_integer(x->ctx, &seed, lab_yaml_item(x->seeds, i % seeds), 0,
                                      1000000000);
        if (status != PEER_OK)
            break;
        run.config.train.seed = (uint64_t)seed;
        run.config.train.steps = 1;
        status = lm_config_check(x->ctx, &run.config.model);
        if (status == PEER_OK)
            status = lm_train_config_check(x->ctx, &run.config.train, &run.config.model);
        status = status == PEER_OK ? set_steps(&run, x, budget) : blame(x->ctx, size);
        if (status == PEER_OK)
            status = append(x, &run);
    }
    return status;
}

static enum peer_status read_head(struct expansion *x)
{
    struct lab_plan *plan = x->plan;
    const struct lab_yaml_node *name = lab_yaml_get(x->root, "name");
    const struct lab_yaml_node *data = lab_yaml_get(x->root, "data");
    const struct lab_yaml_node *threads = lab_yaml_get(x->root, "threads");
    enum peer_status status = lab_yaml_keys(x->ctx, x->root, sweep_keys, NULL);
    if (status == PEER_OK && (!data || !lab_yaml_scalar(data)))
        status = lab_yaml_complain(x->ctx, x->root,
                                   "the field data is missing: a prepared folder");
    if (status == PEER_OK)
        status = required_list(x, &x->budgets, "budgets", "a list of FLOPs, such as [1e12, 4e12]");
    if (status == PEER_OK)
        status = required_list(x, &x->sizes, "sizes", "a list such as [{width: 64, blocks: 4}]");
    if (status == PEER_OK)
        status = required_list(x, &x->variants, "variants",
                               "a list such as [{name: dense, ffw: dense}]");
    x->seeds = lab_yaml_get(x->root, "seeds");
    if (status == PEER_OK && x->seeds)
        status = required_list(x, &x->seeds, "seeds", "a list of integers, such as [1, 2, 3]");
    plan->threads = 1;
    if (status == PEER_OK && threads)
        status = lab_yaml_integer(x->ctx, &plan->threads, threads, 1, 1024);
    if (status != PEER_OK)
        return status;
    snprintf(plan->data, sizeof plan->data, "%s", lab_yaml_scalar(data));
    snprintf(plan->name, sizeof plan->name, "%s",
             name && lab_yaml_scalar(name) ? lab_yaml_scalar(name) : "sweep");
    return PEER_OK;
}

static enum peer_status read_vocab(struct expansion *x)
{
    const struct lab_yaml_node *vocab = lab_yaml_get(lab_yaml_get(x->root, "model"), "vocab");
    struct lm_dataset data;
    int64_t stated = 0;
    enum peer_status status = PEER_OK;
    if (vocab)
        status = lab_yaml_integer(x->ctx, &stated, vocab, 1, 65536);
    if (status == PEER_OK)
        status = lm_dataset_open(&data, x->ctx, x->plan->data, stated);
    if (status != PEER_OK)
        return status;
    x->vocab = data.vocab;
    lm_dataset_close(&data);
    return PEER_OK;
}

static int most_flops_first(const void *left, const void *right)
{
    const struct lab_plan_run *a = left, *b = right;
    return (a->flops < b->flops) - (a->flops > b->flops);
}

enum peer_status lab_plan_read(struct lab_plan *ret, struct peer_ctx *ctx, const char *path)
{
    struct lab_plan plan = {0};
    struct lab_yaml *yaml = NULL;
    struct expansion x = {.ctx = ctx, .plan = &plan};
    enum peer_status status = lab_yaml_open(&yaml, ctx, path);
    if (status == PEER_OK) {
        x.root = lab_yaml_root(yaml);
        status = read_head(&x);
    }
    if (status == PEER_OK)
        status = read_vocab(&x);
    int64_t variants = status == PEER_OK ? lab_yaml_count(x.variants) : 0;
    int64_t pairs = status == PEER_OK ? variants * lab_yaml_count(x.sizes) : 0;
    for (int64_t i = 0; status == PEER_OK && i < pairs; i++)
        status = expand_pair(&x, lab_yaml_item(x.sizes, i / variants),
                             lab_yaml_item(x.variants, i % variants));
    if (status == PEER_OK && !(plan.text = strdup(lab_yaml_text(yaml))))
        status = peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to keep it", path);
    lab_yaml_close(&yaml);
    if (status != PEER_OK) {
        lab_plan_free(&plan);
        return status;
    }
    qsort(plan.runs, (size_t)plan.count, sizeof *plan.runs, most_flops_first);
    for (int64_t i = 0; i < plan.count; i++) /* the pointers into moved structs */
        plan.runs[i].config.model.ffw_config = plan.runs[i].config.ffw_config;
    *ret = plan;
    return PEER_OK;
}

void lab_plan_free(struct lab_plan *plan)
{
    free(plan->runs);
    free(plan->text);
    *plan = (struct lab_plan){0};
}
