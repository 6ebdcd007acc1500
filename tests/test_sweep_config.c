/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/sweeps/sweep_config.h"
#include "tests/support/run_case.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "sweep.yaml");
    struct lm_dataset data = run_case_data(ctx, &dir, 400, 61);
    lm_dataset_close(&data);
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(sweep_config, .init = set_up, .fini = tear_down);

/* The file is `text` with the folder of the data for every '@'. */
static enum peer_status read_plan(struct lab_plan *plan, const char *text)
{
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream);
    for (; *text; text++)
        if (*text == '@')
            fputs(dir.path, stream);
        else
            fputc(*text, stream);
    cr_assert_eq(fclose(stream), 0);
    return lab_plan_read(plan, ctx, file.path);
}

static const char whole[] = "name: t\n"
                            "data: @\n"
                            "budgets: [2e7, 5e7]\n"
                            "sizes:\n"
                            "  - {width: 12, blocks: 3, heads: 2}\n"
                            "  - {width: 8, blocks: 1, train: {lr: 0.25}}\n"
                            "  - {width: 16, blocks: 2}\n"
                            "variants:\n"
                            "  - {ffw: dense}\n"
                            "  - {name: p49, ffw: peer, train: {accumulate: 2},\n"
                            "     options: {experts: 49, heads: 2, kept: 3, query_width: 6}}\n"
                            "seeds: [3, 5]\n"
                            "threads: 2\n"
                            "model: {context: 9, vocab: 11, dense: {hidden: 20}}\n"
                            "train: {sequences: 4, lr: 0.125}\n";

Test(sweep_config, a_sweep_is_every_budget_size_variant_and_seed)
{
    struct lab_plan plan;
    int seen[2][3][2][2] = {{{{0}}}};
    cr_assert_eq(read_plan(&plan, whole), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_str_eq(plan.name, "t");
    cr_expect_str_eq(plan.data, dir.path);
    cr_expect_eq(plan.threads, 2);
    cr_assert_eq(plan.count, 2 * 3 * 2 * 2);
    for (int64_t i = 0; i < plan.count; i++) {
        const struct lab_run_config *config = &plan.runs[i].config;
        bool sparse = !strcmp(config->variant, "p49");
        int size = config->model.width == 12 ? 0 : config->model.width == 8 ? 1 : 2;
        seen[config->budget == 5e7][size][sparse][config->train.seed == 5]++;
        cr_expect_eq(config->model.blocks, size == 0 ? 3 : size);
        cr_expect_eq(config->model.heads, size == 0 ? 2 : 1);
        cr_expect_eq(config->model.vocab, 11);
        cr_expect_eq(config->model.dense.hidden, 20);
        cr_expect_eq(config->train.lr, size == 1 ? 0.25F : 0.125F, "a size's own");
        cr_expect_eq(config->train.accumulate, sparse ? 2 : 1, "a variant's own");
        cr_expect_eq(config->model.passes, config->train.accumulate);
        cr_expect_eq(config->train.length, 9, "the context bounds the default");
        cr_expect_eq(config->model.ffw_config, config->ffw_config);
        cr_expect_gt(plan.runs[i].memory, 0);
    }
    for (int i = 0; i < 24; i++)
        cr_expect_eq(seen[i / 12][i / 4 % 3][i / 2 % 2][i % 2], 1, "case %d", i);
    lab_plan_free(&plan);
}

/* The nearest level counts; of the same budget the same tokens, whatever is frozen. */
Test(sweep_config, runs_start_from_others_and_freeze_parts)
{
    static const char text[] =
        "data: @\nbudgets: [5e7]\ninit: all\nfreeze: rest\n"
        "sizes: [{width: 8, blocks: 1}, {width: 12, blocks: 3, init: twelve}]\n"
        "variants:\n"
        "  - {name: a, ffw: mixtral, options: {experts: 4}}\n"
        "  - {name: b, ffw: mixtral, options: {experts: 4}, freeze: router, init: bees}\n"
        "model: {context: 9, vocab: 11}\n";
    struct lab_plan plan;
    cr_assert_eq(read_plan(&plan, text), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(plan.count, 4);
    for (int64_t i = 0; i < plan.count; i++) {
        const struct lab_run_config *config = &plan.runs[i].config;
        bool a = *config->variant == 'a', small = config->model.width == 8;
        cr_expect_str_eq(config->init, !a ? "bees" : small ? "all" : "twelve");
        cr_expect_eq(config->model.freeze, a ? LM_FREEZE_REST : LM_FREEZE_ROUTER);
        for (int64_t j = 0; j < plan.count; j++)
            if (plan.runs[j].config.model.width == config->model.width)
                cr_expect_eq(plan.runs[j].tokens, plan.runs[i].tokens);
    }
    lab_plan_free(&plan);
}

Test(sweep_config, each_run_spends_its_budget_to_half_a_step)
{
    struct lab_plan plan;
    cr_assert_eq(read_plan(&plan, whole), PEER_OK, "%s", peer_ctx_error(ctx));
    for (int64_t i = 0; i < plan.count; i++) {
        const struct lab_plan_run *run = &plan.runs[i];
        const struct lab_run_config *config = &run->config;
        struct peer_cost cost = {0};
        lm_config_cost(&cost, &config->model, 9);
        cr_expect_eq(run->flops_per_token, peer_cost_train(&cost));
        cr_expect_eq(run->tokens, config->train.steps * 4 * 9);
        cr_expect_eq(run->flops, (double)run->tokens * run->flops_per_token);
        cr_expect_leq(fabs(run->flops - config->budget), 0.5 * 36 * run->flops_per_token);
        cr_expect(i == 0 || run->flops <= plan.runs[i - 1].flops, "the longest come first");
    }
    lab_plan_free(&plan);
}

/* A run's own file must stand for the same run as the sweep's. */
Test(sweep_config, each_run_can_be_written_and_read)
{
    struct lab_plan plan;
    struct lab_run_config read;
    struct tempfile run_file = tempdir_file(&dir, "run.yaml");
    cr_assert_eq(read_plan(&plan, whole), PEER_OK, "%s", peer_ctx_error(ctx));
    for (int64_t i = 0; i < plan.count; i++) {
        char *text[2] = {NULL, NULL};
        size_t size;
        FILE *stream = fopen(run_file.path, "w");
        cr_assert(stream && lab_run_config_write(stream, &plan.runs[i].config));
        cr_assert_eq(fclose(stream), 0);
        cr_assert_eq(lab_run_config_read(&read, ctx, run_file.path), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        for (int j = 0; j < 2; j++) {
            stream = open_memstream(&text[j], &size);
            cr_assert(stream);
            cr_assert(lab_run_config_write(stream, j ? &read : &plan.runs[i].config));
            fclose(stream);
        }
        cr_expect_str_eq(text[0], text[1]);
        free(text[0]);
        free(text[1]);
    }
    lab_plan_free(&plan);
}

Test(sweep_config, the_example_is_valid)
{
    struct lab_plan plan;
    char *text = strdup(lab_sweep_example);
    cr_assert(text);
    char *data = strstr(text, "data/books "), *model = strstr(text, "model: {");
    cr_assert(data && model);
    memcpy(data, "@          ", 11);
    *model = 0;
    char *all = NULL;
    cr_assert_geq(asprintf(&all, "%smodel: {vocab: 11, %s", text, model + 8), 0);
    cr_assert_eq(read_plan(&plan, all), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(plan.count, 2 * 5 * 3 * 2);
    lab_plan_free(&plan);
    free(all);
    free(text);
}

#define HEAD "data: @\nmodel: {context: 9, vocab: 11}\n"
#define LISTS(budgets, sizes, variants)                                                            \
    HEAD "budgets: [" budgets "]\nsizes: [" sizes "]\nvariants: [" variants "]\n"
#define SIZE "{width: 8, blocks: 1}"

Test(sweep_config, complaints_name_the_place)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"name: x\n", ":1:1: the field data is missing: a prepared folder"},
        {HEAD, ":1:1: the field budgets is missing: a list of FLOPs, such as [1e12, 4e12]"},
        {HEAD "budgets: 3\n",
         ":3:10: budgets: expected a list of FLOPs, such as [1e12, 4e12], got \"3\""},
        {LISTS("1e9", "", "{ffw: dense}"),
         ":4:8: sizes: expected a list such as [{width: 64, blocks: 4}], got a list"},
        {LISTS("1e9", SIZE, "dense"),
         ":5:12: variants[0]: expected a mapping (key: value), got \"dense\""},
        {LISTS("1e9", SIZE, "{ffw: dens}"),
         ":5:18: variants[0].ffw: expected one of: "
         "dense, pkm, peer, soft_gate, noisy_topk, gshard, switch, "
         "expert_choice, mixtral, deepseek, dropless, soft_moe, got \"dens\""},
        {LISTS("1e9", SIZE, "{ffw: dense, option: {}}"),
         ":5:25: variants[0].option: unknown field; did you mean \"options\"?"},
        {LISTS("1e9", "{width: 8}", "{ffw: dense}"),
         ":4:9: sizes[0]: the fields width and blocks are needed"},
        {LISTS("1e9", "{width: 9, blocks: 1}", "{ffw: dense}"),
         ":4:9: sizes[0]: lm_config: width = 9, heads = 1, expected a width that is a multiple of "
         "2 * heads"},
        {LISTS("1e9", SIZE, "{ffw: peer, options: {experts: 10}}"),
         ":5:33: variants[0].options: peer: N = 10 is not a square, the nearest are 3^2 = 9 and "
         "4^2 = 16"},
        {LISTS("1e9", SIZE, "{ffw: peer, options: {experts: 4, kept: 5}}"),
         ":5:33: variants[0].options: peer: k = 5 kept of N = 4, expected 1 to N"},
        {LISTS("1e9", SIZE, "{ffw: peer, options: {query_width: 7}}"),
         ":5:33: variants[0].options: peer: query width K = 7, expected an even number from 2 to "
         "65536"},
        {LISTS("1e9", SIZE ", " SIZE, "{ffw: dense}"),
         ":4:32: sizes[1]: a size of this width and blocks is given twice"},
        {LISTS("1e9", SIZE, "{name: a, ffw: dense}, {name: a, ffw: pkm}"),
         ":5:35: variants[1]: a variant of this name is given twice; choose another name"},
        {LISTS("1e9", SIZE, "{name: pkm, ffw: dense}, {ffw: pkm}"),
         ":5:37: variants[1]: a variant of this name is given twice; choose another name"},
        {LISTS("1e9, 1000_000_000", SIZE, "{ffw: dense}"),
         ":3:16: budgets[1]: this budget is given twice"},
        {LISTS("1e9, ten", SIZE, "{ffw: dense}"),
         ":3:16: budgets[1]: expected a number from 1 to 1e+30, got \"ten\""},
        {LISTS("1e9", SIZE, "{ffw: dense}") "seeds: [1, 2, 1]\n",
         ":6:15: seeds[2]: this seed is given twice"},
        {LISTS("1e9", SIZE, "{ffw: dense}") "seeds: [-1]\n",
         ":6:9: seeds[0]: expected an integer from 0 to 1000000000, got \"-1\""},
        {LISTS("1e9", SIZE, "{ffw: dense}") "freeze: mixture\n",
         ":4:9: sizes[0]: lm_config: freeze = mixture, but ffw = dense is no mixture of experts: "
         "there is nothing to freeze"},
        {LISTS("1e9", SIZE, "{ffw: dense}") "train: {steps: 5}\n",
         ":6:16: train.steps: a sweep's steps follow from its budgets"},
        {LISTS("1e9", SIZE, "{ffw: dense}") "train: {seed: 5}\n",
         ":6:15: train.seed: a sweep's seeds stand in its list: seeds: [1, 2]"},
        {LISTS("1e9", SIZE, "{ffw: dense}") "threads: 0\n",
         ":6:10: threads: expected an integer from 1 to 1024, got \"0\""},
        {"data: @\nmodel: {width: 8}\n", ":2:9: model.width: unknown field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_plan plan = {.count = 7};
        cr_expect_eq(read_plan(&plan, cases[i].text), PEER_ERR_FORMAT, "%s", cases[i].text);
        cr_expect_eq(plan.count, 7);
        const char *error = peer_ctx_error(ctx);
        cr_expect_eq(strncmp(error, file.path, strlen(file.path)), 0, "%s", error);
        cr_expect_str_eq(error + strlen(file.path), cases[i].complaint);
    }
}

/* The dense model of width 8 with one block, V = 11, F = 32, at length 9 costs per token, forward:
 * attention 2 * 4 * 64 of projections and 2 * 2 * 8 * 5 of scores and values over (9 + 1) / 2
 * tokens; FFW 2 * 2 * 8 * 32; vocabulary 2 * 8 * 11; three times the sum to train. */
Test(sweep_config, too_small_a_budget_names_the_least)
{
    struct lab_plan plan;
    double token = 3 * (512 + 160 + 1024 + 176), step = 8 * 9 * token;
    char text[512];
    cr_expect_eq(read_plan(&plan, LISTS("1e9, 1e3", SIZE, "{ffw: dense}")), PEER_ERR_FORMAT);
    snprintf(text, sizeof text,
             "%s:3:16: budgets[1]: expected at least %.3g, one step of dense at width 8, 1 blocks: "
             "72 tokens of %.4g FLOPs; got 1000",
             file.path, step, token);
    cr_expect_str_eq(peer_ctx_error(ctx), text);
    cr_expect_eq(read_plan(&plan, LISTS("4.05e5", SIZE, "{ffw: dense}")), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(plan.runs[0].config.train.steps, 1);
    lab_plan_free(&plan);
    cr_expect_eq(read_plan(&plan, LISTS("1e30", SIZE, "{ffw: dense}")), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), ":3:11: budgets[0]: expected at most 4.04e+17"), "%s",
              peer_ctx_error(ctx));
}

Test(sweep_config, the_vocabulary_is_that_of_the_data)
{
    struct lab_plan plan;
    cr_expect_eq(read_plan(&plan, "data: @\nbudgets: [1e9]\nsizes: [" SIZE "]\n"
                                  "variants: [{ffw: dense}]\n"),
                 PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "vocab"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(read_plan(&plan, "data: /nowhere\nbudgets: [1e9]\nsizes: [" SIZE "]\n"
                                  "variants: [{ffw: dense}]\n"),
                 PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "/nowhere"), "%s", peer_ctx_error(ctx));
}

Test(sweep_config, a_file_cut_at_any_byte_is_read_or_refused)
{
    for (size_t size = 0; size < sizeof whole - 1; size += 3) {
        char text[sizeof whole];
        struct lab_plan plan = {0};
        memcpy(text, whole, size);
        text[size] = 0;
        enum peer_status status = read_plan(&plan, text);
        cr_expect(status != PEER_OK || plan.count > 0);
        lab_plan_free(&plan);
    }
}
