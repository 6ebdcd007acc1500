/* SPDX-License-Identifier: MIT */
/* Each router on cases small enough to be worked by hand. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/losses.h"
#include "moe/noise.h"
#include "nn/random.h"
#include "tests/support/twin.h"

enum { MOST = 512 };

static struct peer_ctx *ctx;
static struct {
    float logits[MOST], scores[MOST], gates[MOST], scratch[2 * MOST], dlogits[MOST], dscores[MOST];
    int32_t choice[MOST], ids[MOST], taken[MOST];
    int64_t used[MOST];
    double work[MOST];
} a;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    memset(&a, 0, sizeof a);
}

static void tear_down(void)
{
    peer_ctx_destroy(&ctx);
}

TestSuite(moe_router, .init = set_up, .fini = tear_down);

static struct peer_moe_routes routes(int64_t T, int64_t E, int64_t R, const float *logits)
{
    cr_assert(T * E <= MOST && T * R <= MOST);
    memcpy(a.logits, logits, (size_t)(T * E) * sizeof *logits);
    return (struct peer_moe_routes){.T = T,
                                    .E = E,
                                    .R = R,
                                    .logits = a.logits,
                                    .scores = a.scores,
                                    .choice = a.choice,
                                    .ids = a.ids,
                                    .gates = a.gates};
}

static void choose(const struct peer_moe_routes *r, const struct peer_moe_gating *gating)
{
    peer_moe_score(ctx, r, gating);
    peer_moe_choose(ctx, r, NULL, a.scratch);
    peer_moe_gate(ctx, r, gating);
}

static double balance(const struct peer_moe_routes *r, int64_t choices, bool shares, int64_t group,
                      float coefficient)
{
    const struct peer_moe_balance terms = {
        .choices = choices, .shares = shares, .group = group, .coefficient = coefficient};
    return peer_moe_balance_loss(NULL, r, &terms, 1, a.work);
}

static void expect_ids(const int32_t *got, const int32_t *expected, int n)
{
    for (int i = 0; i < n; i++)
        cr_expect_eq(got[i], expected[i], "%d: %d, expected %d", i, got[i], expected[i]);
}

static void expect_gates(const float *got, const double *expected, int n)
{
    for (int i = 0; i < n; i++)
        cr_expect_lt(fabs(got[i] - expected[i]), 4 * FLT_EPSILON, "%d: %.9g, expected %.9g", i,
                     (double)got[i], expected[i]);
}

static const struct peer_moe_gating softmax = {.score = PEER_MOE_SOFTMAX, .scale = 1};
static const struct peer_moe_gating kept = {.score = PEER_MOE_KEPT, .scale = 1};
static const struct peer_moe_gating top2 = {
    .score = PEER_MOE_SOFTMAX, .normalized = true, .epsilon = 1e-9f, .scale = 1};

#define LN2 0.69314718055994531f
#define LN3 1.09861228866810969f

/* p = (1, 2, 3) / 6 and (2, 1, 1) / 4. */
static const float easy[] = {0, LN2, LN3, LN2, 0, 0};

Test(moe_router, switch_takes_the_largest_with_its_probability)
{
    struct peer_moe_routes r = routes(2, 3, 1, easy);
    choose(&r, &softmax);
    expect_ids(a.ids, (int32_t[]){2, 0}, 2);
    expect_gates(a.gates, (double[]){0.5, 0.5}, 2);
    expect_gates(a.scores, (double[]){1 / 6., 2 / 6., 3 / 6., 0.5, 0.25, 0.25}, 6);
}

Test(moe_router, mixtral_renormalizes_over_the_kept)
{
    struct peer_moe_routes r = routes(2, 3, 2, easy);
    choose(&r, &kept);
    expect_ids(a.ids, (int32_t[]){2, 1, 0, 1}, 4); /* the tie goes to expert 1 */
    expect_gates(a.gates, (double[]){3 / 5., 2 / 5., 2 / 3., 1 / 3.}, 4);
}

Test(moe_router, gshard_divides_by_both_gates)
{
    struct peer_moe_routes r = routes(2, 3, 2, easy);
    choose(&r, &top2);
    expect_gates(a.gates, (double[]){3 / 5., 2 / 5., 2 / 3., 1 / 3.}, 4);
    /* Kept where uniform * 0.5 < gate: 0.79 * 0.5 = 0.395 < 0.4; 0.67 * 0.5 = 0.335 > 1/3. */
    peer_moe_thin(&r, 0.5f, (float[]){0.79f, 0.67f});
    expect_ids(a.ids, (int32_t[]){2, 1, 0, -1}, 4);
    expect_ids(a.choice, (int32_t[]){2, 1, 0, 1}, 4);
    /* A gate above the threshold always stays. */
    choose(&r, &top2);
    peer_moe_thin(&r, 0.3f, (float[]){0.9999999f, 0.9999999f});
    expect_ids(a.ids, (int32_t[]){2, 1, 0, 1}, 4);
}

Test(moe_router, deepseek_keeps_the_softmax_or_normalizes_sigmoids)
{
    struct peer_moe_routes r = routes(2, 3, 2, easy);
    struct peer_moe_gating gating = {.score = PEER_MOE_SOFTMAX, .scale = 2.5f};
    choose(&r, &gating);
    expect_gates(a.gates, (double[]){2.5 / 2, 2.5 / 3, 2.5 / 2, 2.5 / 4}, 4);
    /* sigmoid(0) = 1/2, sigmoid(log 2) = 2/3, sigmoid(log 3) = 3/4. A bias of 0.3 lifts expert 0
     * of token 0 (0.8) above 3/4 and 2/3; its gate knows no bias. */
    gating = (struct peer_moe_gating){.score = PEER_MOE_SIGMOID, .normalized = true, .scale = 1};
    peer_moe_score(ctx, &r, &gating);
    peer_moe_choose(ctx, &r, (float[]){0.3f, 0, 0}, a.scratch);
    peer_moe_gate(ctx, &r, &gating);
    expect_ids(a.ids, (int32_t[]){0, 2, 0, 1}, 4);
    expect_gates(a.gates, (double[]){0.5 / 1.25, 0.75 / 1.25, 4 / 7., 3 / 7.}, 4);
}

/* Five tokens want expert 0 first; room is ceil(1.2 * 5 / 3) = 2. */
Test(moe_router, capacity_drops_in_order)
{
    static const float logits[] = {3, 2, 1, 3, 1, 2, 3, 2, 1, 3, 2, 1, 1, 3, 2};
    struct peer_moe_routes r = routes(5, 3, 2, logits);
    choose(&r, &top2);
    expect_ids(a.choice, (int32_t[]){0, 1, 0, 2, 0, 1, 0, 1, 1, 2}, 10);
    peer_moe_limit(&r, 1.2f, 0, a.used);
    /* First choices: 0 0 - - 1. Second: 1 takes expert 1's last place, 2 takes 2's first, then
     * expert 1 is full, and the last token's second finds a place at 2. Token 4's first choice
     * came before token 0's second. */
    expect_ids(a.ids, (int32_t[]){0, 1, 0, 2, -1, -1, -1, -1, 1, 2}, 10);
    expect_ids(a.choice, (int32_t[]){0, 1, 0, 2, 0, 1, 0, 1, 1, 2}, 10);
    /* Padding neither counts nor takes room: n = 4, ceil(1.2 * 4 / 3) = 2. */
    static const uint8_t mask[] = {0, 1, 1, 1, 1};
    r.mask = mask;
    choose(&r, &top2);
    peer_moe_limit(&r, 1.2f, 0, a.used);
    expect_ids(a.ids, (int32_t[]){-1, -1, 0, 2, 0, 1, -1, -1, 1, 2}, 10);
    expect_gates(a.gates, (double[]){0, 0}, 2);
}

Test(moe_router, groups_have_capacity_of_their_own)
{
    static const float logits[] = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
    struct peer_moe_routes r = routes(5, 2, 1, logits);
    choose(&r, &softmax);
    peer_moe_limit(&r, 1, 2, a.used); /* room 1 of groups of 2, 2 and 1 */
    expect_ids(a.ids, (int32_t[]){0, -1, 0, -1, 0}, 5);
    choose(&r, &softmax);
    peer_moe_limit(&r, 1, 0, a.used); /* ceil(5 / 2) = 3 */
    expect_ids(a.ids, (int32_t[]){0, 0, 0, -1, -1}, 5);
}

Test(moe_router, room_is_rounded_up_and_bounded)
{
    cr_expect_eq(peer_moe_room(0, 100, 4), 0);
    cr_expect_eq(peer_moe_room(1, 0, 4), 0);
    cr_expect_eq(peer_moe_room(1, 1, 64), 1);       /* more experts than tokens */
    cr_expect_eq(peer_moe_room(1.25f, 100, 8), 16); /* 15.625 */
    cr_expect_eq(peer_moe_room(2, 128, 16), 16);
    cr_expect_eq(peer_moe_room(1.1f, 100, 10), 11); /* although 1.1f > 1.1 */
    cr_expect_eq(peer_moe_room(8, 100, 8), 100);
    cr_expect_eq(peer_moe_room(1e6f, 100, 8), 100);
}

Test(moe_router, no_capacity_drops_everything_and_all_keeps_it)
{
    struct peer_moe_routes r = routes(2, 3, 2, easy);
    choose(&r, &top2);
    peer_moe_limit(&r, 3, 0, a.used);
    expect_ids(a.ids, (int32_t[]){2, 1, 0, 1}, 4);
    peer_moe_limit(&r, 0, 0, a.used);
    expect_ids(a.ids, (int32_t[]){-1, -1, -1, -1}, 4);
}

/* T = 4, E = 2, capacity 1: two tokens each. p of expert 0: 0.9, 0.8, 0.7, 0.4. */
Test(moe_router, experts_choose_the_best_tokens)
{
    float logits[8];
    const double p[] = {0.9, 0.8, 0.7, 0.4};
    for (int t = 0; t < 4; t++) {
        logits[2 * t] = (float)log(p[t]);
        logits[2 * t + 1] = (float)log(1 - p[t]);
    }
    struct peer_moe_routes r = routes(4, 2, 2, logits);
    peer_moe_score(ctx, &r, &softmax);
    peer_moe_choose_tokens(ctx, &r, 1, 0, a.scratch, a.taken);
    peer_moe_gate(ctx, &r, &softmax);
    expect_ids(a.ids, (int32_t[]){0, -1, 0, -1, 1, -1, 1, -1}, 8);
    expect_gates(a.gates, (double[]){0.9, 0, 0.8, 0, 0.3, 0, 0.6, 0}, 8);
    /* capacity 1.5: three each; token 2 is taken by both, its better expert first. */
    peer_moe_choose_tokens(ctx, &r, 1.5f, 0, a.scratch, a.taken);
    peer_moe_gate(ctx, &r, &softmax);
    expect_ids(a.ids, (int32_t[]){0, -1, 0, 1, 0, 1, 1, -1}, 8);
    expect_gates(a.gates, (double[]){0.9, 0, 0.8, 0.2, 0.7, 0.3, 0.6, 0}, 8);
    /* Groups of two, one each. */
    peer_moe_choose_tokens(ctx, &r, 1, 2, a.scratch, a.taken);
    expect_ids(a.ids, (int32_t[]){0, -1, 1, -1, 0, -1, 1, -1}, 8);
    /* Padding is not taken, though it would be the best. */
    static const uint8_t mask[] = {0, 1, 1, 1};
    r.mask = mask;
    peer_moe_score(ctx, &r, &softmax);
    peer_moe_choose_tokens(ctx, &r, 1, 0, a.scratch, a.taken); /* ceil(3 / 2) = 2 */
    expect_ids(a.ids, (int32_t[]){-1, -1, 0, -1, 0, 1, 1, -1}, 8);
    peer_moe_choose_tokens(ctx, &r, 0, 0, a.scratch, a.taken);
    expect_ids(a.ids, (int32_t[]){-1, -1, -1, -1, -1, -1, -1, -1}, 8);
}

Test(moe_router, ties_go_to_the_lower_index)
{
    static const float zeros[12] = {0};
    struct peer_moe_routes r = routes(4, 3, 2, zeros);
    choose(&r, &kept);
    expect_ids(a.ids, (int32_t[]){0, 1, 0, 1, 0, 1, 0, 1}, 8);
    r.R = 3;
    peer_moe_choose_tokens(ctx, &r, 1, 0, a.scratch, a.taken); /* ceil(4 / 3) = 2 */
    expect_ids(a.ids, (int32_t[]){0, 1, 2, 0, 1, 2, -1, -1, -1, -1, -1, -1}, 12);
}

/* NaN is the least of all; a token of nothing else goes to the lowest experts with gates of 0. */
Test(moe_router, numbers_that_are_none_have_a_place)
{
    const float inf = INFINITY;
    const float logits[] = {NAN, 0, LN2, NAN, NAN, NAN, inf, 0, -inf, inf, NAN, inf};
    const struct peer_moe_gating *gatings[] = {&softmax, &kept, &top2};
    for (int i = 0; i < 3; i++) {
        struct peer_moe_routes r = routes(4, 3, 2, logits);
        choose(&r, gatings[i]);
        expect_ids(a.ids, (int32_t[]){2, 1, 0, 1, 0, 1, 0, 2}, 8);
        expect_gates(a.gates, (double[]){2 / 3., 1 / 3., 0, 0, 1, 0, 0.5, 0.5}, 8);
    }
    struct peer_moe_routes r = routes(4, 3, 3, logits);
    peer_moe_score(ctx, &r, &softmax);
    peer_moe_choose_tokens(ctx, &r, 1, 0, a.scratch, a.taken);
    for (int i = 0; i < 12; i++)
        cr_expect(a.ids[i] >= -1 && a.ids[i] < 3);
    /* The gradient of what is no choice is 0, not NaN. */
    float dgates[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < 3; i++) {
        r = routes(4, 3, 2, logits);
        choose(&r, gatings[i]);
        memset(a.dscores, 0, sizeof a.dscores);
        peer_moe_route_backward(ctx, a.dlogits, a.dscores, dgates, &r, gatings[i]);
        for (int j = 0; j < 12; j++)
            cr_expect(isfinite(a.dlogits[j]) && (j / 3 != 1 || a.dlogits[j] == 0));
    }
}

/* f = (1/2, 1/2), P = (1/6 + 1/2, 2/6 + 1/4, 3/6 + 1/4) / 2, by hand:
 * 3 (P_0 + P_2) / 2 = 3 (2/3 + 3/4) / 4. */
Test(moe_router, balance_loss_by_hand)
{
    struct peer_moe_routes r = routes(2, 3, 2, easy);
    choose(&r, &softmax);
    double loss = balance(&r, 1, false, 0, 0.5f);
    cr_expect_lt(fabs(loss - 0.5 * 3 * (2 / 3. + 3 / 4.) / 4), 1e-7, "%.9g", loss);
    /* Both choices: f = (1/4, 1/2, 1/4). */
    loss = balance(&r, 2, false, 0, 1);
    cr_expect_lt(fabs(loss - 3 * (2 / 3. + 2 * 7 / 12. + 3 / 4.) / 8), 1e-7, "%.9g", loss);
    /* Token by token: p of the chosen, 3 * (1/2 + 1/2) / 2. */
    loss = balance(&r, 1, false, 1, 1);
    cr_expect_lt(fabs(loss - 1.5), 1e-7, "%.9g", loss);
    static const uint8_t mask[] = {0, 0};
    r.mask = mask;
    choose(&r, &softmax);
    cr_expect_eq(balance(&r, 1, false, 0, 1), 0);
}

/* Loads of (1, 1, 6) in place of the own (1, 0, 1): f = (1/8, 1/8, 6/8), and the gradient by the
 * scores is 3 f_e / 2. Loads that are the own change no bit. */
Test(moe_router, balance_loss_of_given_loads_by_hand)
{
    struct peer_moe_routes r = routes(2, 3, 1, easy);
    static const int64_t given[] = {1, 1, 6}, own[] = {1, 0, 1};
    struct peer_moe_balance terms = {.choices = 1, .loads = given, .coefficient = 1};
    choose(&r, &softmax);
    double loss = peer_moe_balance_loss(a.dscores, &r, &terms, 1, a.work);
    double expected = 3 * (2 / 3. + 7 / 12. + 6 * 3 / 4.) / 16;
    cr_expect_lt(fabs(loss - expected), 1e-6, "%.9g", loss);
    for (int i = 0; i < 6; i++)
        cr_expect_lt(fabs(a.dscores[i] - 3 * given[i % 3] / 8. / 2), 1e-6);
    terms.loads = own;
    loss = peer_moe_balance_loss(NULL, &r, &terms, 1, a.work);
    cr_expect_eq(loss, balance(&r, 1, false, 0, 1));
    int64_t counts[] = {0, 0, 5};
    peer_moe_count(counts, &r, 1);
    cr_expect(counts[0] == 1 && counts[1] == 0 && counts[2] == 6);
}

/* Token t prefers expert t mod E, then the next: f_e = P_e = 1/E. */
Test(moe_router, a_balanced_router_has_the_coefficient)
{
    for (int E = 1; E <= 8; E *= 2)
        for (int choices = 1; choices <= (E > 1 ? 2 : 1); choices++) {
            float logits[3 * 64] = {0};
            for (int t = 0; t < 3 * E; t++) {
                logits[t * E + (t + 1) % E] = LN2;
                logits[t * E + t % E] = LN3;
            }
            for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
                struct peer_moe_routes r = routes(3 * E, E, choices, logits);
                struct peer_moe_gating gating = {.score = sigmoid ? PEER_MOE_SIGMOID : 0,
                                                 .scale = 1};
                choose(&r, &gating);
                for (int group = 0; group <= E; group += E) {
                    double loss = balance(&r, choices, sigmoid, group, 0.25f);
                    cr_expect_lt(fabs(loss - 0.25), 1e-7, "E %d: %.9g", E, loss);
                }
                double loss = peer_moe_importance_loss(a.dscores, &r, 1, 1, a.work);
                cr_expect_lt(fabs(loss), 1e-12, "E %d: %.9g", E, loss);
            }
        }
    for (int i = 0; i < MOST; i++)
        cr_expect_lt(fabsf(a.dscores[i]), 1e-5f, "%g", (double)a.dscores[i]);
}

/* log(6)^2 and log(4)^2; at logits 0 it is log(E)^2. */
Test(moe_router, z_loss_by_hand)
{
    struct peer_moe_routes r = routes(2, 3, 1, easy);
    choose(&r, &softmax);
    double loss = peer_moe_z_loss(a.dlogits, &r, 2, 0.5f);
    cr_expect_lt(fabs(loss - (log(6) * log(6) + log(4) * log(4))), 1e-6, "%.9g", loss);
    for (int i = 0; i < 6; i++) /* scale 0.5 * coefficient 2 * 2 z p / n */
        cr_expect_lt(fabs(a.dlogits[i] - log(i < 3 ? 6 : 4) * a.scores[i]), 1e-6);
}

/* CV^2 of (1, 3): variance 1, mean 2. Its gradient is orthogonal to x: scaling changes nothing. */
Test(moe_router, squared_variation_by_hand)
{
    double x[] = {1, 3}, same[] = {2, 2, 2}, zero[] = {0, 0};
    double loss = peer_moe_cv_squared(x, 2, 0.5f, 1);
    cr_expect_float_eq(loss, 0.125, 1e-15);
    cr_expect_float_eq(x[0] * 1 + x[1] * 3, 0, 1e-15);
    cr_expect_float_eq(x[1], 0.5 * 2 * (1 - 0.5) / (2 * 4.), 1e-15);
    loss = peer_moe_cv_squared(same, 3, 1, 1);
    cr_expect_eq(loss, 0);
    cr_expect(same[0] == 0 && same[1] == 0 && same[2] == 0);
    loss = peer_moe_cv_squared(zero, 2, 1, 1);
    cr_expect_eq(loss, 0);
    cr_expect(zero[0] == 0 && zero[1] == 0);
}

/* One token, E = 3, k = 1, no drawn noise: h = (2, 1, 0). Expert 0 has to exceed 1, the others 2,
 * with deviation log 2 + 0.01 each. */
Test(moe_router, load_loss_by_hand)
{
    float clean[] = {2, 1, 0}, raw[3] = {0}, normal[3] = {0}, dclean[3], draw[3], top[2];
    int32_t top_ids[2];
    struct peer_moe_noise noise = {clean, raw, normal, dclean, draw, top, top_ids};
    struct peer_moe_routes r = routes(1, 3, 1, clean);
    choose(&r, &kept);
    double deviation = log(2) + 0.01, load[3];
    const double distance[] = {1, -1, -2};
    for (int e = 0; e < 3; e++)
        load[e] = (1 + erf(distance[e] / deviation / sqrt(2))) / 2;
    double expected = peer_moe_cv_squared(load, 3, 0.5f, 1);
    double got = peer_moe_load_loss(ctx, NULL, &noise, &r, 0.5f, 1, false, a.work);
    cr_expect_lt(fabs(got - expected), 1e-6, "%.9g, expected %.9g", got, expected);
    cr_expect_gt(got, 0.1);
    /* k = E: every load is 1. */
    r.R = 3;
    cr_expect_eq(peer_moe_load_loss(ctx, NULL, &noise, &r, 0.5f, 1, false, a.work), 0);
}

Test(moe_router, draws_go_on_from_any_count)
{
    float key[] = {0.25f, -0.75f}, count[] = {0, 0};
    struct peer_moe_random random = {key, count};
    uint64_t seed, again, stream;
    for (uint64_t i = 0; i < 3; i++) {
        peer_moe_draw(&random, &seed, &stream);
        cr_expect_eq(stream, i);
    }
    count[0] = (float)((1 << 20) - 1);
    peer_moe_draw(&random, &again, &stream);
    cr_expect_eq(stream, (1 << 20) - 1);
    cr_expect_eq(again, seed);
    peer_moe_draw(&random, &again, &stream);
    cr_expect_eq(stream, 1 << 20);
    cr_expect(count[0] == 1 && count[1] == 1);
    key[1] = 0.5f;
    count[0] = NAN;
    count[1] = -3;
    peer_moe_draw(&random, &again, &stream);
    cr_expect_eq(stream, 0);
    cr_expect_neq(again, seed);
}
