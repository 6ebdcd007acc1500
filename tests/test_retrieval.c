/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pkm/config.h"
#include "tests/support/failing.h"
#include "tests/support/pkm_pair.h"

static struct pkm_config config_of(int64_t n, int64_t H, int64_t k, int64_t K)
{
    return (struct pkm_config){.memories = n * n,
                               .heads = H,
                               .kept = k,
                               .query_width = K,
                               .query_norm = PEER_NORM_NONE,
                               .table_lr_scale = 1};
}

/* Every gate, norm and kind of keys. */
enum { VARIANTS = PEER_GATE_COUNT * PEER_NORM_COUNT * 2 };

static void set_variant(struct pkm_config *config, int variant)
{
    config->keys_per_head = variant % 2;
    config->gate = variant / 2 % PEER_GATE_COUNT;
    config->query_norm = variant / 2 / PEER_GATE_COUNT;
}

Test(retrieval, gradients_are_central_differences)
{
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct pkm_config config = config_of(3, 2, 4, 6);
        set_variant(&config, variant);
        struct pkm_pair *pair = pkm_pair_create(&config, true, 5, 7, 1, 31);
        if (variant % 4 == 0)
            pkm_pair_mask(pair, 3);
        pkm_pair_expect_differences(pair);
        pkm_pair_destroy(pair);
    }
}

Test(retrieval, agrees_with_its_twin)
{
    static const struct {
        int64_t n, H, k, K, D, T;
    } sizes[] = {
        {3, 2, 4, 6, 5, 7}, {7, 3, 9, 10, 17, 33}, {33, 1, 16, 34, 33, 17}, {2, 3, 4, 2, 1, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int variant = 0; variant < VARIANTS; variant++) {
            struct pkm_config config = config_of(sizes[i].n, sizes[i].H, sizes[i].k, sizes[i].K);
            set_variant(&config, variant);
            struct pkm_pair *pair =
                pkm_pair_create(&config, true, sizes[i].D, sizes[i].T, 2, 100 + i);
            if (variant % 3 == 1)
                pkm_pair_mask(pair, 4);
            pkm_pair_expect_twin(pair);
            pkm_pair_destroy(pair);
        }
}

/* Tolerance: sums of 17 + 10 terms near 1. */
Test(retrieval, evaluation_uses_running_statistics)
{
    struct pkm_config config = config_of(7, 3, 5, 10);
    config.query_norm = PEER_NORM_BATCH;
    struct pkm_pair *pair = pkm_pair_create(&config, true, 17, 33, 2, 5);
    pkm_pair_forward(pair, PEER_MODE_EVAL);
    pkm_pair_twin_loss(pair, false);
    for (int64_t i = 0; i < pair->T * pair->slots; i++)
        cr_expect_float_eq(pair->out[i], pair->twin_out[i], 1e-5);
    pkm_pair_destroy(pair);
}

Test(retrieval, same_bits_for_any_number_of_threads)
{
    for (int per_head = 0; per_head < 2; per_head++) {
        struct pkm_config config = config_of(33, 3, 7, 34);
        config.keys_per_head = per_head;
        config.query_norm = PEER_NORM_BATCH;
        struct pkm_pair *pairs[3];
        for (int i = 0; i < 3; i++) {
            struct pkm_pair *p = pairs[i] = pkm_pair_create(&config, true, 17, 1000, i + 1, 9);
            pkm_pair_run(p);
            cr_expect_arr_eq(pkm_pair_routing(p).ids, pkm_pair_routing(pairs[0]).ids,
                             (size_t)(p->T * p->slots) * sizeof(int32_t));
            cr_expect_arr_eq(p->out, pairs[0]->out, (size_t)(p->T * p->outs) * sizeof(float));
            cr_expect_arr_eq(p->dx, pairs[0]->dx, (size_t)(p->T * p->D) * sizeof(float));
            for (int a = 0; a < PKM_TRAINED; a++) {
                if (!p->size[a])
                    continue;
                float *g = pkm_pair_gradient(p, a), *first = pkm_pair_gradient(pairs[0], a);
                cr_expect_arr_eq(g, first, (size_t)p->size[a] * sizeof *g, "%s, %d threads",
                                 pkm_array_names[a], i + 1);
                free(g);
                free(first);
            }
        }
        for (int i = 0; i < 3; i++)
            pkm_pair_destroy(pairs[i]);
    }
}

/* Padding finds nothing, gets no gradient, and changes nothing for the rest: the same tokens
 * without it give the same ids. Gates are off by the rounding of batch statistics at most. */
Test(retrieval, masked_tokens_take_no_part)
{
    enum { T = 33, D = 17 };
    struct pkm_config config = config_of(17, 2, 5, 8);
    config.query_norm = PEER_NORM_BATCH;
    struct pkm_pair *padded = pkm_pair_create(&config, true, D, T, 2, 3);
    pkm_pair_mask(padded, 4);
    pkm_pair_run(padded);
    int64_t rest = 0, slots = padded->slots;
    for (int t = 0; t < T; t++)
        rest += padded->mask[t];
    struct pkm_pair *dense = pkm_pair_create(&config, true, D, rest, 2, 3);
    for (int64_t t = 0, to = 0; t < T; t++)
        if (padded->mask[t])
            memcpy(dense->x + to++ * D, padded->x + t * D, D * sizeof(float));
    pkm_pair_forward(dense, PEER_MODE_TRAIN);
    struct peer_routing r = pkm_pair_routing(padded), s = pkm_pair_routing(dense);
    for (int64_t t = 0, at = 0; t < T; t++) {
        for (int64_t j = t * slots; j < (t + 1) * slots; j++) {
            cr_expect_eq(r.ids[j], padded->mask[t] ? s.ids[at] : -1);
            cr_expect_float_eq(r.gates[j], padded->mask[t] ? s.gates[at] : 0, 1e-5);
            at += padded->mask[t];
        }
        for (int64_t i = t * D; i < (t + 1) * D; i++)
            cr_expect_eq(padded->dx[i] == 0, !padded->mask[t]);
    }
    pkm_pair_destroy(padded);
    pkm_pair_destroy(dense);
}

/* A softmax of k values errs by at most (k + 4) epsilon in its sum. */
Test(retrieval, gates_keep_their_promises)
{
    for (int gate = 0; gate < PEER_GATE_COUNT; gate++) {
        struct pkm_config config = config_of(17, 3, 16, 10);
        config.gate = gate;
        struct pkm_pair *pair = pkm_pair_create(&config, true, 17, 33, 2, 12);
        pkm_pair_forward(pair, PEER_MODE_EVAL);
        for (int64_t row = 0; row < pair->T * 3; row++) {
            const float *gates = pair->out + row * 16;
            double sum = 0;
            for (int j = 0; j < 16; j++) {
                sum += gates[j];
                cr_expect_geq(gates[j], 0);
                cr_expect(j == 0 || gates[j] <= gates[j - 1], "gates do not descend");
                cr_expect(gate != PEER_GATE_SIGMOID || gates[j] < 1);
            }
            if (gate == PEER_GATE_SOFTMAX)
                cr_expect_leq(fabs(sum - 1), 20 * (double)FLT_EPSILON);
        }
        pkm_pair_destroy(pair);
    }
}

/* n = 1: the one key has gate 1 whatever its score, and nothing has a gradient. */
Test(retrieval, one_key_is_always_found)
{
    struct pkm_config config = config_of(1, 3, 1, 4);
    struct pkm_pair *pair = pkm_pair_create(&config, true, 7, 5, 2, 4);
    pkm_pair_run(pair);
    for (int64_t j = 0; j < pair->T * pair->slots; j++) {
        cr_expect_eq(pkm_pair_routing(pair).ids[j], 0);
        cr_expect_eq(pair->out[j], 1);
    }
    for (int64_t i = 0; i < pair->T * pair->D; i++)
        cr_expect_eq(pair->dx[i], 0);
    pkm_pair_destroy(pair);
}

Test(retrieval, keeping_all_keys_finds_each_once)
{
    struct pkm_config config = config_of(7, 2, 49, 6);
    struct pkm_pair *pair = pkm_pair_create(&config, true, 5, 3, 2, 4);
    pkm_pair_forward(pair, PEER_MODE_EVAL);
    for (int64_t row = 0; row < 6; row++) {
        bool seen[49] = {false};
        for (int j = 0; j < 49; j++)
            seen[pkm_pair_routing(pair).ids[row * 49 + j]] = true;
        for (int id = 0; id < 49; id++)
            cr_expect(seen[id], "key %d is missing", id);
    }
    pkm_pair_destroy(pair);
}

/* Infinite and NaN inputs give ids in range and never a crash. */
Test(retrieval, survives_any_input)
{
    struct pkm_config config = config_of(7, 2, 5, 6);
    struct pkm_pair *pair = pkm_pair_create(&config, true, 5, 3, 2, 4);
    pair->x[0] = NAN;
    pair->x[6] = INFINITY;
    pkm_pair_run(pair);
    for (int64_t j = 0; j < pair->T * pair->slots; j++) {
        int32_t id = pkm_pair_routing(pair).ids[j];
        cr_expect(id >= 0 && id < 49);
    }
    pkm_pair_destroy(pair);
}

Test(retrieval, cost_is_what_the_twin_counts)
{
    for (int per_head = 0; per_head < 2; per_head++) {
        struct pkm_config config = config_of(7, 3, 10, 6);
        config.keys_per_head = per_head;
        config.query_norm = PEER_NORM_LAYER;
        struct pkm_pair *pair = pkm_pair_create(&config, true, 5, 3, 1, 8);
        struct pkm_retrieval_config retrieval = pkm_layer_retrieval(&config, 5);
        struct peer_cost cost;
        pkm_retrieval_cost(&cost, &retrieval);
        pkm_pair_expect_cost(pair, &cost);
        cr_expect_eq(cost.params_total, peer_params_trained(&pair->params));
        pkm_pair_destroy(pair);
    }
}

Test(retrieval, memory_is_what_create_takes)
{
    for (int variant = 0; variant < VARIANTS; variant++)
        for (int threads = 1; threads <= 3; threads++) {
            struct failing failing = {.granted = -1};
            struct peer_ctx *ctx = failing_ctx(&failing, threads);
            struct pkm_config config = config_of(17, 3, 20, 6);
            set_variant(&config, variant);
            struct pkm_retrieval_config c = pkm_layer_retrieval(&config, 5);
            struct pkm_retrieval *r = NULL;
            struct pkm_retrieval_cache *cache = NULL;
            cr_assert_eq(pkm_retrieval_create(&r, ctx, &c), PEER_OK);
            cr_expect_eq(peer_ctx_bytes(ctx), pkm_retrieval_memory(&c));
            cr_assert_eq(pkm_retrieval_cache_create(&cache, ctx, r, 33), PEER_OK);
            size_t expected = pkm_retrieval_memory(&c) + pkm_retrieval_cache_memory(&c, 33) +
                              (size_t)(threads - 1) * pkm_retrieval_thread_memory(&c);
            cr_expect_leq(peer_ctx_bytes(ctx), expected);
            cr_expect_geq(peer_ctx_bytes(ctx) + (size_t)(threads - 1) * 256, expected);
            pkm_retrieval_cache_destroy(&cache);
            pkm_retrieval_destroy(&r);
            peer_ctx_destroy(&ctx);
        }
    struct pkm_config config = config_of(46340, 1024, 1, 65536);
    struct pkm_retrieval_config c = pkm_layer_retrieval(&config, INT64_MAX / 2);
    cr_expect_eq(pkm_retrieval_memory(&c), SIZE_MAX);
    cr_expect_eq(pkm_retrieval_cache_memory(&c, INT64_MAX / 2), SIZE_MAX);
}

Test(retrieval, no_tokens_do_nothing)
{
    struct pkm_config config = config_of(3, 2, 4, 6);
    config.query_norm = PEER_NORM_BATCH;
    struct pkm_pair *pair = pkm_pair_create(&config, true, 5, 7, 2, 1);
    pkm_retrieval_forward(pair->cache_of, NULL, NULL, 0, PEER_MODE_TRAIN);
    pkm_retrieval_backward(pair->cache_of, NULL, NULL, NULL, NULL, 0);
    for (int a = 0; a < PKM_ARRAYS; a++) {
        const struct peer_param *param = peer_params_find(&pair->params, pkm_array_names[a]);
        for (int64_t i = 0; i < pair->size[a]; i++) {
            cr_expect_eq(param->data[i], (float)pair->value[a][i]);
            cr_expect(a >= PKM_TRAINED || param->grad[i] == 0);
        }
    }
    pkm_pair_destroy(pair);
}

Test(retrieval, bad_configs_are_named)
{
    static const struct {
        struct pkm_retrieval_config config;
        const char *text;
    } cases[] = {
        {{0, 9, 2, 4, 6, 0, 0, false, false}, "D = 0"},
        {{5, 0, 2, 4, 6, 0, 0, false, false}, "N = 0"},
        {{5, 2147483648, 2, 4, 6, 0, 0, false, false}, "N = 2147483648"},
        {{5, 10, 2, 4, 6, 0, 0, false, false},
         "N = 10 is not a square, the nearest are 3^2 = 9 and 4^2"},
        {{5, 9, 0, 4, 6, 0, 0, false, false}, "H = 0"},
        {{5, 9, 1025, 4, 6, 0, 0, false, false}, "H = 1025"},
        {{5, 9, 2, 0, 6, 0, 0, false, false}, "k = 0"},
        {{5, 9, 2, 10, 6, 0, 0, false, false}, "k = 10 kept of N = 9"},
        {{5, 9, 2, 4, 7, 0, 0, false, false}, "K = 7"},
        {{5, 9, 2, 4, 0, 0, 0, false, false}, "K = 0"},
        {{5, 9, 2, 4, 65538, 0, 0, false, false}, "K = 65538"},
        {{5, 9, 2, 4, 6, 3, 0, false, false}, "gate 3"},
        {{5, 9, 2, 4, 6, 0, 4, false, false}, "query norm 4"},
    };
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pkm_retrieval *r = NULL;
        cr_expect_eq(pkm_retrieval_create(&r, ctx, &cases[i].config), PEER_ERR_ARGUMENT);
        cr_expect_null(r);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].text), "case %zu: %s", i,
                  peer_ctx_error(ctx));
    }
    struct pkm_retrieval_config good = {5, 9, 2, 4, 6, 0, 0, false, false};
    struct pkm_retrieval *r = NULL;
    struct pkm_retrieval_cache *cache = NULL;
    cr_assert_eq(pkm_retrieval_create(&r, ctx, &good), PEER_OK);
    cr_expect_eq(pkm_retrieval_cache_create(&cache, ctx, r, 0), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "tokens = 0"));
    cr_expect_eq(pkm_retrieval_cache_create(&cache, ctx, r, INT32_MAX), PEER_ERR_ARGUMENT);
    cr_expect_null(cache);
    pkm_retrieval_destroy(&r);
    peer_ctx_destroy(&ctx);
}

/* A retrieval and its cache. */
struct whole {
    struct pkm_retrieval *retrieval;
    struct pkm_retrieval_cache *cache;
};

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    static struct whole whole;
    whole = (struct whole){.retrieval = NULL};
    enum peer_status status = pkm_retrieval_create(&whole.retrieval, ctx, config);
    if (!status)
        status = pkm_retrieval_cache_create(&whole.cache, ctx, whole.retrieval, 5);
    if (status)
        pkm_retrieval_destroy(&whole.retrieval);
    else
        *ret = &whole;
    return status;
}

static void destroy(void **object)
{
    struct whole *whole = *object;
    pkm_retrieval_cache_destroy(&whole->cache);
    pkm_retrieval_destroy(&whole->retrieval);
    *object = NULL;
}

Test(retrieval, every_failing_allocation_is_survived)
{
    struct pkm_retrieval_config config = {5,    9,    2, 4, 6, PEER_GATE_SOFTMAX, PEER_NORM_BATCH,
                                          true, false};
    cr_expect_geq(failing_every_allocation(create, destroy, &config), 20);
    pkm_retrieval_destroy(NULL);
}
