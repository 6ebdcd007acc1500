/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/study_file.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "study.yaml");
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(study_file, .init = set_up, .fini = tear_down);

static enum peer_status read_study(struct lab_study **study, const char *text)
{
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream);
    fputs(text, stream);
    cr_assert_eq(fclose(stream), 0);
    return lab_study_read(study, ctx, file.path, NULL, "out");
}

#define HEAD                                                                                       \
    "name: t\n"                                                                                    \
    "effect: 0.02\n"                                                                               \
    "seeds: [7, 5]\n"                                                                              \
    "model: {context: 16, vocab: 300}\n"                                                           \
    "train: {sequences: 2, length: 16, lr: 0.25}\n"                                                \
    "variants:\n"                                                                                  \
    "  - {name: dense, ffw: dense}\n"                                                              \
    "  - {name: p16, ffw: peer, options: {experts: 16, heads: 2, kept: 2, query_width: 4}}\n"      \
    "  - {name: p64, ffw: peer, options: {experts: 64, heads: 2, kept: 2, query_width: 4}}\n"      \
    "  - {name: choice, ffw: expert_choice, options: {experts: 2}, rate: dense}\n"
#define TUNE                                                                                       \
    "tune: {budgets: [1e8, 2e8], sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 2}],\n"        \
    "       variants: [dense, p64], scales: [p16]}\n"

/* A number of seeds for each budget; none is more than those asked for. */
Test(study_file, seeds_of_each_budget)
{
    struct lab_study *study = NULL;
    cr_assert_eq(read_study(&study,
                            HEAD TUNE "parts: {fig1: {budgets: [1e9, 2e9], seeds: [3, 1],\n"
                                      "  variants: [dense], sizes: [{width: 8, blocks: 1}]}}\n"),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    const struct lab_part *fig1 = lab_study_part(study, "fig1");
    cr_expect_eq(lab_study_seeds(fig1, 0, 4), 3);
    cr_expect_eq(lab_study_seeds(fig1, 0, 2), 2);
    cr_expect_eq(lab_study_seeds(fig1, 1, 4), 1);
    lab_study_free(&study);
}

Test(study_file, parts_variants_and_rates)
{
    struct lab_study *study = NULL;
    cr_assert_eq(
        read_study(&study, HEAD TUNE
                   "parts:\n"
                   "  fig1: {budgets: [1e9], sizes: [{width: 8, blocks: 1}],\n"
                   "         variants: [dense, p16], seeds: 1}\n"
                   "  capacity: {budgets: [1e9], sizes: [{width: 8, blocks: 1}],\n"
                   "         variants: [p64], facts: {people: 10, values: 20}, lr: 0.125}\n"),
        PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(study->effect, 0.02);
    cr_assert_eq(study->seeds, 2);
    cr_assert_eq(study->seed[0], 7);
    cr_assert_eq(study->vocab, 300);
    cr_assert_str_eq(study->variant[0].rate, "dense");
    cr_assert_str_eq(study->variant[1].rate, "p64", "the tuned one of its type");
    cr_assert_str_eq(study->variant[2].rate, "p64", "itself");
    cr_assert_str_eq(study->variant[3].rate, "dense", "as it says");
    const struct lab_part *fig1 = lab_study_part(study, "fig1");
    const struct lab_part *capacity = lab_study_part(study, "capacity");
    cr_assert(fig1 && capacity && !lab_study_part(study, "fig2"));
    cr_assert_eq(lab_study_seeds(fig1, 0, 2), 1);
    cr_assert_eq(lab_study_seeds(capacity, 0, 2), 2);
    cr_assert_eq(fig1->vocab, 300);
    cr_assert(capacity->facts);
    cr_assert_str_eq(capacity->data, "out/facts-10x5-of-20-t6-e20");
    cr_assert_eq(capacity->make.table.people, 10);
    cr_assert_gt(capacity->vocab, 20);
    struct lab_plan_run run;
    cr_assert_eq(lab_study_run(&run, ctx, study, capacity, (struct lab_point){.variant = 3}),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(run.config.train.lr, 0.125f, "where the part's search begins");
    cr_assert_eq(lab_study_run(&run, ctx, study, fig1, (struct lab_point){.variant = 1}), PEER_OK);
    cr_assert_neq(run.config.train.lr, 0.125f);
    lab_study_free(&study);
}

Test(study_file, a_run_has_the_tokens_of_its_budget)
{
    struct lab_study *study = NULL;
    struct lab_plan_run run;
    cr_assert_eq(read_study(&study, HEAD TUNE
                            "parts: {fig1: {budgets: [1e8, 1e9], sizes: [{width: 8, blocks: 1}],\n"
                            "                variants: [p16]}}\n"),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    const struct lab_part *part = lab_study_part(study, "fig1");
    const struct lab_point point = {.variant = 1, .budget = 1, .seed = 5};
    cr_assert_eq(lab_study_run(&run, ctx, study, part, point), PEER_OK);
    cr_assert_eq(run.config.train.seed, 5);
    cr_assert_eq(run.config.budget, 1e9);
    cr_assert_str_eq(run.config.variant, "p16");
    double step = 2 * 16 * run.flops_per_token;
    cr_assert_leq(run.flops, 1e9 + step / 2);
    cr_assert_geq(run.flops, 1e9 - step / 2);
    cr_assert_eq(run.tokens, run.config.train.steps * 2 * 16);
    lab_study_free(&study);
}

/* Sizes follow the budget: at the three budgets {8, 16}, {16, 32} and {32}. */
Test(study_file, a_size_has_budgets_of_its_own)
{
    static const bool planned[3][3] = {
        {true, true, false}, {false, true, true}, {false, false, true}};
    struct lab_study *study = NULL;
    cr_assert_eq(
        read_study(&study, HEAD TUNE
                   "parts: {fig1: {budgets: [1e8, 1e9, 1e10], variants: [dense],\n"
                   "  sizes: [{width: 8, blocks: 1, to: 1e8}, {width: 16, blocks: 1, to: 1e9},\n"
                   "          {width: 32, blocks: 1, from: 1e9}]}}\n"),
        PEER_OK, "%s", peer_ctx_error(ctx));
    for (int b = 0; b < 3; b++)
        for (int s = 0; s < 3; s++)
            cr_assert_eq(lab_study_planned(&study->part[0], s, b), planned[b][s], "%d %d", b, s);
    lab_study_free(&study);
}

/* What is wrong is named with file, line and what was expected. */
Test(study_file, complaints)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {HEAD "parts: {fig1: {budgets: [1], sizes: [{width: 8, blocks: 1}], variants: [dense]}}\n",
         "study.yaml:1:1: the field tune is missing"},
        {HEAD TUNE, "study.yaml:1:1: the field parts is missing"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dens]}}\n",
         "study.yaml:14:13: parts.fig1.variants[0]: expected the name of a variant of this study, "
         "got \"dens\""},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9, 1e8], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dense]}}\n",
         "budgets must rise"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9], sizes: [{width: 8}], variants: [dense]}}\n",
         "the fields width and blocks are needed"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dense], lr: 0.1}}\n",
         "only a part of facts has a search of its own"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9], variants: [dense],\n"
                   " sizes: [{width: 8, blocks: 1, from: 2e9}]}}\n",
         "no budget of this part lies within from and to"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dense, dense]}}\n",
         "this variant is named twice"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9, 2e9], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dense], seeds: [1]}}\n",
         "study.yaml:14:28: parts.fig1.seeds: expected a number, or a list of one for each budget"},
        {HEAD TUNE "parts: {fig1: {budgets: [1e9, 2e9], sizes: [{width: 8, blocks: 1}],\n"
                   " variants: [dense], seeds: [1, 0]}}\n",
         "parts.fig1.seeds[1]"},
        {HEAD "tune: {budgets: [1e8], sizes: [{width: 8, blocks: 1}], variants: [dense]}\n"
              "parts: {}\n",
         "no variant of this type is tuned: name one in rate"},
        {"name: t\nseeds: [1, 1]\n", "study.yaml:2:12: seeds[1]: this seed is given twice"},
        {"nam: t\n", "study.yaml:1:1: nam: "},
        {HEAD TUNE
         "parts: {c: {budgets: [1e9], sizes: [{width: 8, blocks: 1}], variants: [dense],\n"
         " facts: {people: 10, values: 1}}}\n",
         "values"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_study *study = NULL;
        cr_assert_eq(read_study(&study, cases[i].text), PEER_ERR_FORMAT, "case %zu", i);
        cr_assert(strstr(peer_ctx_error(ctx), cases[i].says), "case %zu: %s", i,
                  peer_ctx_error(ctx));
        cr_assert(!study);
    }
}

/* A note is on a part by its name, or on claims by how they begin. */
Test(study_file, notes_belong_to_parts_and_claims)
{
    struct lab_study *study = NULL;
    static const char notes[] = "notes:\n"
                                "  - {on: fig3a, text: one seed}\n"
                                "  - {on: usage is near, text: \"at this rate: only\"}\n";
    char text[4096];
    snprintf(text, sizeof text,
             "%s%s%sparts: {fig3a: {budgets: [1e8], sizes: [{width: 8, blocks: 1}], "
             "variants: [dense, p16]}}\n",
             HEAD, TUNE, notes);
    cr_assert_eq(read_study(&study, text), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_str_eq(lab_study_note_on(study, "fig3a"), "one seed");
    cr_expect_str_eq(lab_study_note_on(study, "usage is near 100 %"), "at this rate: only");
    cr_expect_null(lab_study_note_on(study, "fig3ab"));
    cr_expect_null(lab_study_note_on(study, "usage"));
    lab_study_free(&study);
    snprintf(text, sizeof text, "%s%snotes: [{on: fig3a}]\nparts: {}\n", HEAD, TUNE);
    cr_assert_neq(read_study(&study, text), PEER_OK);
    cr_expect(strstr(peer_ctx_error(ctx), "the fields on and text are needed"), "%s",
              peer_ctx_error(ctx));
}
