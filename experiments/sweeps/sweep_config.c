/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/sweep_config.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/dataset.h"
#include "lm/options.h"
#include "nn/pool.h"

enum { MAX_RUNS = 100000, MOST_ITEMS = 1000 };

/* lm_train_options allows no more steps; counts of tokens must fit. */
static const double most_steps = 1e12, most_tokens = 1e18;

static const char *const sweep_keys[] = {"name",     "data",  "budgets", "sizes",
                                         "variants", "seeds", "threads", "model",
                                         "train",    "init",  "freeze",  NULL};
static const char *const size_keys[] = {"width", "blocks", "heads", "train", "init", NULL};
static const char *const variant_keys[] = {"name",  "ffw",  "options", "sparse_at",
                                           "train", "init", "freeze",  NULL};
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
    "train: {sequences: 8, length: 128, lr: 0.004}   # a size or a variant may have its own\n"
    "# init: runs/one            # weights to start from; a size or a variant may have its own\n"
    "# freeze: router            # or experts, mixture, rest; a variant may have its own\n";

/* What is being expanded, with the nodes to blame. */
struct expansion {
    struct peer_ctx *ctx;
    struct lab_plan *plan;
    const struct lab_yaml_node *root, *budgets, *sizes, *variants, *seeds;
    int64_t vocab;
    int64_t capacity;
};

/* A list of the sweep's file. */
struct list {
    const char *key, *example;
    const char *const *keys; /* of items that are mappings; NULL = items are numbers */
    bool (*same)(struct peer_ctx *ctx, const struct lab_yaml_node *a,
                 const struct lab_yaml_node *b);
    const char *twice; /* the complaint about two items that are the same */
};

static bool same_number(struct peer_ctx *ctx, const struct lab_yaml_node *a,
                        const struct lab_yaml_node *b)
{
    double x = NAN, y = NAN;
    return a && b && lab_yaml_number(ctx, &x, a, -DBL_MAX, DBL_MAX) == PEER_OK &&
           lab_yaml_number(ctx, &y, b, -DBL_MAX, DBL_MAX) == PEER_OK && x == y;
}

/* Results are told apart by these two numbers. */
static bool same_size(struct peer_ctx *ctx, const struct lab_yaml_node *a,
                      const struct lab_yaml_node *b)
{
    return same_number(ctx, lab_yaml_get(a, "width"), lab_yaml_get(b, "width")) &&
           same_number(ctx, lab_yaml_get(a, "blocks"), lab_yaml_get(b, "blocks"));
}

static const char *variant_name(const struct lab_yaml_node *variant)
{
    const char *name = lab_yaml_scalar(lab_yaml_get(variant, "name"));
    if (!name)
        name = lab_yaml_scalar(lab_yaml_get(variant, "ffw"));
    return name ? name : "dense";
}

static bool same_name(struct peer_ctx *ctx, const struct lab_yaml_node *a,
                      const struct lab_yaml_node *b)
{
    (void)ctx;
    return strcmp(variant_name(a), variant_name(b)) == 0;
}

static const struct list budget_list = {"budgets", "a list of FLOPs, such as [1e12, 4e12]", NULL,
                                        same_number, "this budget is given twice"};
static const struct list seed_list = {"seeds", "a list of integers, such as [1, 2, 3]", NULL,
                                      same_number, "this seed is given twice"};
static const struct list size_list = {"sizes", "a list such as [{width: 64, blocks: 4}]", size_keys,
                                      same_size, "a size of this width and blocks is given twice"};
static const struct list variant_list = {
    "variants", "a list such as [{name: dense, ffw: dense}]", variant_keys, same_name,
    "a variant of this name is given twice; choose another name"};

/* Finds a list and checks its items' keys, and that none is there twice: two runs that nothing
 * tells apart would be one. */
static enum peer_status read_list(struct expansion *x, const struct lab_yaml_node **ret,
                                  const struct list *list)
{
    char text[128];
    const struct lab_yaml_node *node = lab_yaml_get(x->root, list->key);
    snprintf(text, sizeof text, "the field %s is missing: %s", list->key, list->example);
    if (!node)
        return lab_yaml_complain(x->ctx, x->root, text);
    int64_t count = lab_yaml_count(node);
    if (count < 1)
        return lab_yaml_expected(x->ctx, node, list->example);
    if (count > MOST_ITEMS)
        return lab_yaml_complain(x->ctx, node, "too many items");
    for (int64_t i = 0; i < count; i++) {
        const struct lab_yaml_node *item = lab_yaml_item(node, i);
        enum peer_status status =
            list->keys ? lab_yaml_keys(x->ctx, item, list->keys, NULL) : PEER_OK;
        if (status != PEER_OK)
            return status;
        for (int64_t j = 0; j < i; j++)
            if (list->same(x->ctx, lab_yaml_item(node, j), item))
                return lab_yaml_complain(x->ctx, item, list->twice);
    }
    *ret = node;
    return PEER_OK;
}

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

/* The run config of one (size, variant), budget and seed still open. */
static enum peer_status read_pair(struct lab_run_config *config, struct expansion *x,
                                  const struct lab_yaml_node *size,
                                  const struct lab_yaml_node *variant)
{
    struct peer_ctx *ctx = x->ctx;
    const struct lab_yaml_node *model = lab_yaml_get(x->root, "model");
    const struct lab_yaml_node *name = lab_yaml_get(variant, "name");
    enum peer_status status = lab_run_config_read_size(config, ctx, size, variant);
    if (status != PEER_OK)
        return status;
    memcpy(config->data, x->plan->data, sizeof config->data);
    if (name)
        status = lab_yaml_string(ctx, config->variant, sizeof config->variant, name);
    if (status == PEER_OK)
        status = lab_run_config_read_model(config, ctx, model);
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, &config->model, size, lm_config_options);
    config->model.vocab = x->vocab;
    if (status == PEER_OK)
        status = lab_run_config_read_ffw_options(config, ctx, variant);
    if (config->train.length > config->model.context)
        config->train.length = config->model.context;
    const struct lab_yaml_node *const levels[] = {x->root, size, variant};
    for (int i = 0; i < 3 && status == PEER_OK; i++) {
        status = lab_run_config_read_start(config, ctx, levels[i]);
        if (status == PEER_OK)
            status = read_train(config, ctx, levels[i]);
    }
    return status;
}

static enum peer_status set_steps(struct lab_plan_run *run, struct expansion *x,
                                  const struct lab_yaml_node *budget)
{
    struct lab_run_config *config = &run->config;
    struct peer_cost cost = {0};
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
        return lab_yaml_complain(x->ctx, budget, text);
    config->train.steps = (int64_t)steps;
    run->tokens = (int64_t)(steps * step_tokens);
    run->flops = (double)run->tokens * run->flops_per_token;
    int64_t pass = config->train.sequences / config->train.accumulate * config->train.length;
    run->memory = peer_size_add(lm_config_memory(&config->model, pass),
                                lm_config_optim_memory(&config->model, &config->train.optim));
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
    run.config.train.steps = 1;
    if (status == PEER_OK)
        status = lm_config_check(x->ctx, &run.config.model);
    if (status == PEER_OK)
        status = lm_train_config_check(x->ctx, &run.config.train, &run.config.model);
    status = lab_yaml_blame(x->ctx, size, status);
    int64_t seeds = x->seeds ? lab_yaml_count(x->seeds) : 1;
    int64_t budgets = lab_yaml_count(x->budgets);
    for (int64_t i = 0; status == PEER_OK && i < budgets * seeds; i++) {
        const struct lab_yaml_node *budget = lab_yaml_item(x->budgets, i / seeds);
        int64_t seed = 1;
        status = lab_yaml_number(x->ctx, &run.config.budget, budget, 1, 1e30);
        if (status == PEER_OK && x->seeds)
            status =
                lab_yaml_integer(x->ctx, &seed, lab_yaml_item(x->seeds, i % seeds), 0, 1000000000);
        if (status != PEER_OK)
            break;
        run.config.train.seed = (uint64_t)seed;
        status = set_steps(&run, x, budget);
        if (status == PEER_OK)
            status = append(x, &run);
    }
    return status;
}

static enum peer_status read_lists(struct expansion *x)
{
    enum peer_status status = read_list(x, &x->budgets, &budget_list);
    if (status == PEER_OK)
        status = read_list(x, &x->sizes, &size_list);
    if (status == PEER_OK)
        status = read_list(x, &x->variants, &variant_list);
    if (status == PEER_OK && lab_yaml_get(x->root, "seeds"))
        status = read_list(x, &x->seeds, &seed_list);
    return status;
}

static enum peer_status read_head(struct expansion *x)
{
    struct lab_plan *plan = x->plan;
    const struct lab_yaml_node *name = lab_yaml_get(x->root, "name");
    const struct lab_yaml_node *data = lab_yaml_get(x->root, "data");
    const struct lab_yaml_node *threads = lab_yaml_get(x->root, "threads");
    const struct lab_yaml_node *model = lab_yaml_get(x->root, "model");
    plan->threads = 1;
    strcpy(plan->name, "sweep");
    enum peer_status status = lab_yaml_keys(x->ctx, x->root, sweep_keys, NULL);
    if (status == PEER_OK && !data)
        return lab_yaml_complain(x->ctx, x->root, "the field data is missing: a prepared folder");
    if (status == PEER_OK)
        status = lab_yaml_string(x->ctx, plan->data, sizeof plan->data, data);
    if (status == PEER_OK && name)
        status = lab_yaml_string(x->ctx, plan->name, sizeof plan->name, name);
    if (status == PEER_OK && threads)
        status = lab_yaml_integer(x->ctx, &plan->threads, threads, 1, 1024);
    if (status == PEER_OK && model)
        status = lab_yaml_keys(x->ctx, model, model_keys, NULL);
    return status == PEER_OK ? read_lists(x) : status;
}

/* The vocabulary is the data's; what the file says counts where the data do not. */
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
    char text[64];
    snprintf(text, sizeof text, "the data's vocabulary is %lld", (long long)x->vocab);
    return stated && stated != x->vocab ? lab_yaml_complain(x->ctx, vocab, text) : PEER_OK;
}

static enum peer_status expand(struct expansion *x)
{
    enum peer_status status = PEER_OK;
    int64_t sizes = lab_yaml_count(x->sizes), variants = lab_yaml_count(x->variants);
    for (int64_t i = 0; status == PEER_OK && i < sizes * variants; i++)
        status = expand_pair(x, lab_yaml_item(x->sizes, i / variants),
                             lab_yaml_item(x->variants, i % variants));
    return status;
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
    if (status == PEER_OK)
        status = expand(&x);
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
