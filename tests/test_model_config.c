/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/lm_case.h"

/* Expects a refusal that names what `words` lists, separated by spaces. */
static void expect_refused(const struct lm_config *config, const char *words)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *untouched = (struct lm_model *)&ctx, *model = untouched;
    cr_expect_eq(lm_config_check(ctx, config), PEER_ERR_ARGUMENT, "expected: %s", words);
    cr_expect_eq(lm_model_create(&model, ctx, config, 8, 1, true), PEER_ERR_ARGUMENT);
    cr_expect_eq(model, untouched);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    char copy[128], *rest = copy;
    strncpy(copy, words, sizeof copy - 1);
    copy[sizeof copy - 1] = 0;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        cr_expect_not_null(strstr(peer_ctx_error(ctx), word), "no %s in: %s", word,
                           peer_ctx_error(ctx));
    peer_ctx_destroy(&ctx);
}

Test(config, refusals_carry_the_numbers)
{
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    const struct lm_config good = lm_case.config;
    struct lm_config c;
#define REFUSED(change, words) (c = good, change, expect_refused(&c, words))
    REFUSED(c.vocab = 0, "vocab 0 1 1048576");
    REFUSED(c.vocab = 1048577, "vocab 1048577 1048576");
    REFUSED(c.width = 25, "width 25 heads 3");
    REFUSED(c.width = 27, "width 27 heads 3");
    REFUSED(c.heads = 5, "width 24 heads 5");
    REFUSED(c.heads = 0, "heads 0");
    REFUSED(c.blocks = 0, "blocks 0");
    REFUSED(c.blocks = LM_MAX_BLOCKS + 1, "blocks 257 256");
    REFUSED(c.context = 0, "context 0");
    REFUSED(c.passes = 0, "passes 0");
    REFUSED(c.sparse_at[3] = true, "sparse_at[3] blocks 3");
    REFUSED(c.sparse_at[1] = false, "sparse_at 3 dense");
    REFUSED(c.ffw_config = NULL, "ffw_config dense");
    REFUSED(c.dense.hidden = 0, "hidden 0");
#undef REFUSED
}

Test(config, tokens_are_checked)
{
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = NULL;
    cr_expect_eq(lm_model_create(&model, ctx, &lm_case.config, 0, 1, true), PEER_ERR_ARGUMENT);
    cr_expect_not_null(strstr(peer_ctx_error(ctx), "tokens = 0"));
    cr_expect_null(model);
    peer_ctx_destroy(&ctx);
}

/* 130 = 2 * 5 * 13: four heads of 32.5 there are none, nor three or two, one of 130 would be too
 * wide; five of 26. 134 = 2 * 67 leaves one of 134 or 67 of 2. 96 and 320 divide, 80 by 40. */
Test(config, default_heads_are_about_32_or_64_wide)
{
    static const int64_t heads[][2] = {{6, 1},   {48, 1},  {64, 2},  {80, 2},  {96, 3},  {130, 5},
                                       {134, 1}, {150, 3}, {256, 8}, {258, 3}, {320, 5}, {650, 13}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        cr_expect_eq(lm_config_default_heads(heads[i][0]), heads[i][1], "%ld: %ld",
                     (long)heads[i][0], (long)lm_config_default_heads(heads[i][0]));
}

Test(config, defaults_are_accepted_for_every_even_width)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    for (int64_t width = 2; width <= 1100; width += 2) {
        struct lm_config config = lm_config_default(1000, width, 4);
        cr_expect_eq(lm_config_check(ctx, &config), PEER_OK, "%s", peer_ctx_error(ctx));
    }
    struct lm_config small = lm_config_default(1000, 256, 4),
                     large = lm_config_default(1000, 512, 5);
    cr_expect_eq(small.heads, 8);
    cr_expect_eq(large.heads, 8);
    cr_expect(small.sparse_at[1] && large.sparse_at[2]);
    peer_ctx_destroy(&ctx);
}

Test(config, parameters_are_counted)
{
    struct lm_case lm_case;
    for (int i = 0; lm_case_get(&lm_case, i); i++) {
        struct peer_ctx *ctx = lm_case_ctx(1);
        struct lm_model *model = lm_case_model(&lm_case, ctx, 8, true);
        struct peer_cost cost;
        lm_config_cost(&cost, &lm_case.config, 17);
        cr_expect_eq(cost.params_total, peer_params_trained(lm_model_params(model)), "%s",
                     lm_case.name);
        cr_expect_leq(cost.params_active, cost.params_total);
        struct peer_optim_config optim = peer_optim_config_default();
        cr_expect_eq(lm_config_optim_memory(&lm_case.config, &optim),
                     8 * (size_t)cost.params_total);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
}

Test(config, estimated_memory_is_what_is_held)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        unsigned char ffw_config[512];
        struct lm_config config = lm_config_default(1009, 64, 4);
        struct peer_ctx *ctx = lm_case_ctx(1);
        struct lm_model *model = NULL;
        (*type)->config_default(ffw_config, 64);
        config.ffw = *type;
        config.ffw_config = ffw_config;
        config.passes = 3;
        cr_assert_eq(lm_model_create(&model, ctx, &config, 300, 1, true), PEER_OK);
        double held = (double)peer_ctx_bytes(ctx),
               estimated = (double)lm_config_memory(&config, 300);
        cr_expect_float_eq(estimated / held, 1, 0.02, "%s: %g bytes held, %g estimated",
                           (*type)->name, held, estimated);
        lm_model_destroy(&model);
        cr_expect_eq(peer_ctx_bytes(ctx), 0);

        cr_assert_eq(lm_model_create(&model, ctx, &config, 300, 1, false), PEER_OK);
        cr_expect_lt((double)peer_ctx_bytes(ctx), 0.75 * held, "%s: untrained it holds %zu",
                     (*type)->name, peer_ctx_bytes(ctx));
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
}

Test(config, memory_beyond_the_machine_is_an_error)
{
    struct lm_config config = lm_config_default(65536, 16384, LM_MAX_BLOCKS);
    config.context = 65536;
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = NULL;
    cr_expect_gt(lm_config_memory(&config, INT32_MAX), (size_t)1 << 50);
    cr_expect_eq(lm_model_create(&model, ctx, &config, INT32_MAX, 1, true), PEER_ERR_MEMORY);
    cr_expect_null(model);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

Test(config, variants_share_the_initial_values_of_what_they_share)
{
    struct lm_case dense, other;
    lm_case_get(&dense, 0);
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *one = lm_case_model(&dense, ctx, 8, true);
    for (int i = 1; lm_case_get(&other, i); i++) {
        struct lm_model *two = lm_case_model(&other, ctx, 8, false);
        int shared = 0;
        for (int64_t j = 0; j < lm_model_params(one)->count; j++) {
            const struct peer_param *a = &lm_model_params(one)->items[j];
            const struct peer_param *b = peer_params_find(lm_model_params(two), a->name);
            if (!b)
                continue;
            shared++;
            cr_expect_arr_eq(a->data, b->data, (size_t)peer_param_size(a) * sizeof(float), "%s",
                             a->name);
        }
        cr_expect_eq(shared, lm_model_params(one)->count - 2, "%s: %d", other.name, shared);
        lm_model_destroy(&two);
    }
    lm_model_destroy(&one);
    peer_ctx_destroy(&ctx);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    return lm_model_create((struct lm_model **)ret, ctx, config, 17, 1, true);
}

static void destroy(void **object)
{
    lm_model_destroy((struct lm_model **)object);
}

Test(config, every_failed_allocation_is_reported_and_undone)
{
    struct lm_case lm_case;
    for (int i = 0; lm_case_get(&lm_case, i); i++)
        cr_expect_gt(failing_every_allocation(create, destroy, &lm_case.config), 60, "%s",
                     lm_case.name);
    struct lm_model *none = NULL;
    lm_model_destroy(&none);
    lm_model_destroy(NULL);
}
