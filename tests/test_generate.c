/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/generate.h"
#include "tests/support/failing.h"
#include "tests/support/lm_case.h"

enum { USED = 5, COUNT = 40, ALL = USED + COUNT, V = 61 };

/* Ids that a model of case `number`, made for `tokens` tokens, appends to the same beginning. */
static void generate(int32_t *ids, int number, int64_t tokens,
                     const struct lm_generate_config *config)
{
    struct lm_case lm_case;
    lm_case_get(&lm_case, number);
    struct peer_ctx *ctx = lm_case_ctx(2);
    struct lm_model *model = lm_case_model(&lm_case, ctx, tokens, false);
    int32_t *start = lm_case_ids(USED, V, 9);
    size_t before = peer_ctx_bytes(ctx);
    memset(ids, -1, ALL * sizeof *ids);
    memcpy(ids, start, USED * sizeof *ids);
    cr_expect_eq(lm_generate(ctx, model, ids, USED, config, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), before);
    for (int i = 0; i < ALL; i++)
        cr_expect(ids[i] >= 0 && ids[i] < V, "id %d is %d", i, ids[i]);
    cr_expect_arr_eq(ids, start, USED * sizeof *ids);
    free(start);
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

static struct lm_generate_config config_of(float temperature, int64_t top, uint64_t seed)
{
    return (struct lm_generate_config){
        .count = COUNT, .temperature = temperature, .top = top, .seed = seed};
}

Test(generate, depends_on_the_seed_alone)
{
    struct lm_case lm_case;
    for (int i = 0; lm_case_get(&lm_case, i); i++) {
        int32_t one[ALL], two[ALL], other[ALL];
        struct lm_generate_config config = config_of(1, 0, 3);
        generate(one, i, 80, &config);
        generate(two, i, 80, &config);
        config.seed = 4;
        generate(other, i, 80, &config);
        cr_expect_arr_eq(one, two, sizeof one);
        cr_expect_arr_neq(one, other, sizeof one);
    }
}

/* Each id of the greedy text is where the logits of all before it are largest; so it is for
 * the best of one, and in the limit of low temperature. */
Test(generate, without_temperature_the_most_likely_id_follows)
{
    int32_t greedy[ALL], best[ALL], cold[ALL];
    struct lm_generate_config config = config_of(0, 0, 3);
    generate(greedy, 0, 80, &config);
    config = config_of(1, 1, 3);
    generate(best, 0, 80, &config);
    config = config_of(1e-30f, 0, 3);
    generate(cold, 0, 80, &config);
    cr_expect_arr_eq(greedy, best, sizeof greedy);
    cr_expect_arr_eq(greedy, cold, sizeof greedy);

    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = lm_case_model(&lm_case, ctx, 80, false);
    for (int64_t used = USED; used < ALL; used++) {
        float logits[V];
        int32_t targets[ALL];
        int64_t scored, largest = 0;
        memset(targets, -1, sizeof targets);
        lm_model_forward(model, &scored, NULL, greedy, targets, 1, used, PEER_MODE_EVAL);
        lm_model_logits(model, logits, 0);
        for (int64_t v = 0; v < V; v++)
            largest = logits[v] > logits[largest] ? v : largest;
        cr_expect_eq(greedy[used], largest);
    }
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

/* A model for 7 tokens sees the last 7, as one with a context of 7 does. */
Test(generate, sees_a_window_of_the_last_tokens)
{
    int32_t ids[ALL];
    struct lm_generate_config config = config_of(0, 0, 1);
    generate(ids, 0, 7, &config);
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    lm_case.config.context = 7;
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = lm_case_model(&lm_case, ctx, 80, false);
    int32_t again[ALL];
    memcpy(again, ids, USED * sizeof *ids);
    cr_expect_eq(lm_generate(ctx, model, again, USED, &config, NULL, NULL), PEER_OK);
    cr_expect_arr_eq(ids, again, sizeof ids);
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

/* With one of V = 2 ids at odds of e^1 : 1 after division by the temperature. 4000 draws have a
 * standard error of 0.007. */
Test(generate, draws_by_probability)
{
    struct lm_config small = lm_config_default(2, 2, 1);
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = NULL;
    small.context = 1;
    cr_assert_eq(lm_model_create(&model, ctx, &small, 1, 1, false), PEER_OK);
    float logits[2];
    int32_t ids[4001] = {0}, target = -1;
    int64_t scored, ones = 0, draws = 0;
    lm_model_forward(model, &scored, NULL, ids, &target, 1, 1, PEER_MODE_EVAL);
    lm_model_logits(model, logits, 0);
    float gap = logits[1] - logits[0];
    struct lm_generate_config config = {.count = 4000, .temperature = fabsf(gap), .seed = 11};
    cr_assert_eq(lm_generate(ctx, model, ids, 1, &config, NULL, NULL), PEER_OK);
    for (int i = 0; i < 4000; i++) {
        draws += ids[i] == 0; /* what follows id 0 */
        ones += ids[i] == 0 && ids[i + 1] == 1;
    }
    double expected = 1 / (1 + exp(gap > 0 ? -1 : 1)), share = (double)ones / (double)draws;
    cr_expect_float_eq(share, expected, 5 * 0.5 / sqrt((double)draws), "%lld of %lld",
                       (long long)ones, (long long)draws);
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

struct heard {
    int32_t ids[COUNT];
    int count;
};

static void hear(void *user, int32_t id)
{
    struct heard *heard = user;
    heard->ids[heard->count++] = id;
}

Test(generate, emits_each_id_and_refuses_nonsense)
{
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct lm_model *model = lm_case_model(&lm_case, ctx, 80, false);
    struct heard heard = {.count = 0};
    int32_t ids[ALL] = {1, 2, 3, 4, 5};
    struct lm_generate_config config = lm_generate_config_default();
    cr_expect_eq(config.count, 0);
    config.count = COUNT;
    cr_expect_eq(lm_generate(ctx, model, ids, USED, &config, hear, &heard), PEER_OK);
    cr_expect_eq(heard.count, COUNT);
    cr_expect_arr_eq(heard.ids, ids + USED, sizeof heard.ids);

#define REFUSED(used, field, value, text)                                                          \
    do {                                                                                           \
        struct lm_generate_config c = config;                                                      \
        c.field = value;                                                                           \
        cr_expect_eq(lm_generate(ctx, model, ids, used, &c, NULL, NULL), PEER_ERR_ARGUMENT);       \
        cr_expect_not_null(strstr(peer_ctx_error(ctx), text), "%s", peer_ctx_error(ctx));          \
    } while (0)
    REFUSED(USED, count, -1, "count = -1");
    REFUSED(USED, temperature, -0.5f, "temperature = -0.5");
    REFUSED(USED, temperature, NAN, "temperature = nan");
    REFUSED(USED, temperature, INFINITY, "temperature = inf");
    REFUSED(USED, top, -3, "top = -3");
    REFUSED(0, count, COUNT, "used = 0");
    ids[2] = V;
    REFUSED(USED, count, COUNT, "ids[2] = 61, expected 0 to 60");
#undef REFUSED
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

Test(generate, reports_a_failed_allocation)
{
    struct failing failing = {.granted = -1};
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct lm_model *model = lm_case_model(&lm_case, ctx, 80, false);
    struct lm_generate_config config = config_of(1, 0, 1);
    int32_t ids[ALL] = {1, 2, 3, 4, 5};
    int64_t held = failing.held;
    for (int64_t more = 0; more < 4; more++) {
        failing.granted = failing.asked + more;
        enum peer_status status = lm_generate(ctx, model, ids, USED, &config, NULL, NULL);
        cr_expect_eq(status, PEER_ERR_MEMORY, "%lld granted", (long long)more);
        cr_expect_eq(failing.held, held);
    }
    failing.granted = -1;
    cr_expect_eq(lm_generate(ctx, model, ids, USED, &config, NULL, NULL), PEER_OK);
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}
