/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/sweep_config.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/yaml/yaml_place.h"
#include "lm/dataset.h"
#include "lm/options.h"

enum { MOST_ITEMS = 1000 };

static const char *const sweep_keys[] = {"name",   "data",    "budgets", "sizes", "variants",
                                         "seeds",  "threads", "model",   "train", "init",
                                         "freeze", "dtype",   NULL};
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
    "                            # usage_points: 12 in it tracks utilization for the report\n"
    "# init: runs/one            # weights to start from; a size or a variant may have its own\n"
    "# freeze: router            # or experts, mixture, rest; a variant may have its own\n";

/* What is being expanded, with the nodes to blame. */
struct expansion {
    struct peer_ctx *ctx;
    struct lab_plan *plan;
    const struct lab_yaml_node *root, *budgets, *sizes, *variants, *seeds;
    int64_t vocab;
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

static enum peer_status expand_pair(struct expansion *x, const struct lab_yaml_node *size,
                                    const struct lab_yaml_node *variant)
{
    const struct lab_recipe recipe = {.head = x->root,
                                      .size = size,
                                      .variant = variant,
                                      .data = x->plan->data,
                                      .data_name = x->plan->data_name,
                                      .vocab = x->vocab};
    struct lab_plan_run run;
    enum peer_status status = lab_plan_run_read(&run, x->ctx, &recipe);
    int64_t seeds = x->seeds ? lab_yaml_count(x->seeds) : 1;
    int64_t budgets = lab_yaml_count(x->budgets);
    for (int64_t i = 0; status == PEER_OK && i < budgets * seeds; i++) {
        const struct lab_yaml_node *budget = lab_yaml_item(x->budgets, i / seeds);
        int64_t seed = 1;
        double flops = 0;
        status = lab_yaml_number(x->ctx, &flops, budget, 1, 1e30);
        if (status == PEER_OK && x->seeds)
            status =
                lab_yaml_integer(x->ctx, &seed, lab_yaml_item(x->seeds, i % seeds), 0, 1000000000);
        if (status != PEER_OK)
            break;
        run.config.train.seed = (uint64_t)seed;
        status = lab_plan_run_budget(&run, x->ctx, flops, budget);
        if (status == PEER_OK)
            status = lab_plan_append(x->plan, x->ctx, &run);
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
        status = lab_yaml_place(x->ctx, plan->data_name, plan->data, sizeof plan->data, data);
    if (status == PEER_OK && name)
        status = lab_yaml_name(x->ctx, plan->name, sizeof plan->name, name);
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
    struct lm_data_config kind = {0};
    int64_t stated = 0;
    enum peer_status status = lab_yaml_options(x->ctx, &kind, x->root, lm_data_options);
    if (status == PEER_OK && vocab)
        status = lab_yaml_integer(x->ctx, &stated, vocab, 1, LM_MAX_VOCAB);
    if (status == PEER_OK)
        status = lm_dataset_open(&data, x->ctx, x->plan->data, stated, kind.dtype);
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
    lab_plan_sort(&plan);
    *ret = plan;
    return PEER_OK;
}
