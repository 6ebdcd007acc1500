/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/random.h"
#include "pkm/search.h"
#include "tests/support/failing.h"
#include "tests/support/ranking.h"

static struct failing all_granted = {.granted = -1};

struct found {
    int32_t *ids;  /* [T, k] */
    float *scores; /* [T, k] */
    size_t count;
};

static struct found found_alloc(int64_t T, int64_t k)
{
    size_t count = (size_t)(T * k);
    struct found f = {malloc(count * sizeof(int32_t)), malloc(count * sizeof(float)), count};
    cr_assert(f.ids && f.scores);
    return f;
}

static void found_free(struct found *f)
{
    free(f->ids);
    free(f->scores);
}

static struct pkm_index *make_index(struct peer_ctx *ctx, const struct pkm_index_config *config)
{
    struct pkm_index *index = NULL;
    cr_assert_eq(pkm_index_create(&index, ctx, config), PEER_OK, "%s", peer_ctx_error(ctx));
    return index;
}

static void expect_oracle(struct peer_ctx *ctx, const struct pkm_index_config *c,
                          enum values values, uint64_t seed)
{
    struct pkm_index *index = make_index(ctx, c);
    float *queries = malloc((size_t)(c->queries * c->width) * sizeof *queries);
    values_fill(pkm_index_keys(index), c->n * c->width, values, seed, 30);
    values_fill(queries, c->queries * c->width, values, seed, 40);
    struct found product = found_alloc(c->queries, c->kept);
    struct found all = found_alloc(c->queries, c->kept);
    pkm_index_search(index, product.ids, product.scores, queries, c->queries);
    pkm_index_search_exhaustive(index, all.ids, all.scores, queries, c->queries);
    for (int64_t t = 0; t < c->queries; t++)
        cr_expect(ranking_agrees(product.ids + t * c->kept, product.scores + t * c->kept,
                                 all.ids + t * c->kept, all.scores + t * c->kept, c->kept,
                                 values_exact(values)),
                  "seed %d, values %d, n %d, k %d, K %d, query %d", (int)seed, values, (int)c->n,
                  (int)c->kept, (int)c->width, (int)t);
    found_free(&product);
    found_free(&all);
    free(queries);
    pkm_index_destroy(&index);
}

Test(search, agrees_with_the_exhaustive_search)
{
    static const struct pkm_index_config cases[] = {
        {1, 2, 1, 3},   {2, 4, 3, 7},     {3, 6, 9, 17},     {7, 2, 1, 33},   {17, 34, 16, 7},
        {33, 14, 5, 9}, {33, 66, 40, 17}, {128, 64, 16, 33}, {17, 2, 289, 3}, {300, 8, 33, 300},
    };
    struct peer_ctx *ctx = failing_ctx(&all_granted, 2);
    for (uint64_t seed = 0; seed < 2; seed++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int values = 0; values < VALUES_COUNT; values++)
                if (cases[i].n < 100 || values < VALUES_HUGE)
                    expect_oracle(ctx, &cases[i], values, seed);
    peer_ctx_destroy(&ctx);
}

/* K = 2, so the sub-scores are q[0] c and q[1] c'. With c = (1, -1, 3), c' = (2, 0, -4) and
 * q = (2, 1): halves (2, -2, 6) and (2, 0, -4); best 8 (2,0), 6 (2,1), 4 (0,0), then 2 (0,1) and
 * 2 (2,2), the lower id first. */
Test(search, three_by_three_by_hand)
{
    static const float keys[] = {1, -1, 3, 2, 0, -4}, query[] = {2, 1};
    static const int32_t ids[] = {6, 7, 0, 1, 8};
    static const float scores[] = {8, 6, 4, 2, 2};
    struct peer_ctx *ctx = failing_ctx(&all_granted, 1);
    struct pkm_index *index =
        make_index(ctx, &(struct pkm_index_config){.n = 3, .width = 2, .kept = 5, .queries = 1});
    memcpy(pkm_index_keys(index), keys, sizeof keys);
    int32_t got_ids[5];
    float got[5];
    pkm_index_search(index, got_ids, got, query, 1);
    cr_expect_arr_eq(got_ids, ids, sizeof ids);
    cr_expect_arr_eq(got, scores, sizeof scores);
    pkm_index_destroy(&index);
    peer_ctx_destroy(&ctx);
}

static void normalise(float *x, int64_t rows, int64_t width)
{
    for (float *end = x + rows * width; x < end; x += width) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++)
            squares += (double)x[i] * x[i];
        for (int64_t i = 0; i < width; i++)
            x[i] = (float)(x[i] / sqrt(squares));
    }
}

/* With unit sub-keys, the best sub-key for a query equal to one is that one. */
Test(search, every_key_is_reached)
{
    enum { n = 17, half = 8, N = n * n };
    struct peer_ctx *ctx = failing_ctx(&all_granted, 2);
    struct pkm_index *index = make_index(
        ctx, &(struct pkm_index_config){.n = n, .width = 2 * half, .kept = 3, .queries = N});
    float *keys = pkm_index_keys(index), *queries = malloc(sizeof(float) * N * 2 * half);
    values_fill(keys, 2 * n * half, VALUES_NORMAL, 5, 50);
    normalise(keys, 2 * n, half);
    for (int id = 0; id < N; id++) {
        memcpy(queries + id * 2 * half, keys + id / n * half, half * sizeof *keys);
        memcpy(queries + id * 2 * half + half, keys + (n + id % n) * half, half * sizeof *keys);
    }
    struct found f = found_alloc(N, 3);
    pkm_index_search(index, f.ids, f.scores, queries, N);
    for (int id = 0; id < N; id++)
        cr_expect_eq(f.ids[id * 3], id, "key %d found as %d", id, f.ids[id * 3]);
    found_free(&f);
    free(queries);
    pkm_index_destroy(&index);
    peer_ctx_destroy(&ctx);
}

/* Moving sub-key i of the left half to place 5 i + 3 mod n, and of the right half to 7 i + 1 mod n,
 * moves the ids likewise. A matrix product may round by place, so scores agree to 16 products of
 * size 10 or so, each with a relative error of 6e-8. */
Test(search, permuting_sub_keys_permutes_ids)
{
    enum { n = 17, half = n, T = 33, k = 16 };
    struct peer_ctx *ctx = failing_ctx(&all_granted, 2);
    struct pkm_index_config config = {.n = n, .width = 2 * half, .kept = k, .queries = T};
    struct pkm_index *index = make_index(ctx, &config), *moved = make_index(ctx, &config);
    float *keys = pkm_index_keys(index), *moved_keys = pkm_index_keys(moved);
    float *queries = malloc(sizeof(float) * T * 2 * half);
    values_fill(keys, 2 * n * half, VALUES_NORMAL, 6, 60);
    values_fill(queries, T * 2 * half, VALUES_NORMAL, 6, 70);
    for (int i = 0; i < n; i++) {
        memcpy(moved_keys + (5 * i + 3) % n * half, keys + i * half, half * sizeof *keys);
        memcpy(moved_keys + (n + (7 * i + 1) % n) * half, keys + (n + i) * half,
               half * sizeof *keys);
    }
    struct found f = found_alloc(T, k), g = found_alloc(T, k);
    pkm_index_search(index, f.ids, f.scores, queries, T);
    pkm_index_search(moved, g.ids, g.scores, queries, T);
    for (size_t j = 0; j < f.count; j++) {
        int32_t expected = (5 * (f.ids[j] / n) + 3) % n * n + (7 * (f.ids[j] % n) + 1) % n;
        cr_expect_eq(g.ids[j], expected);
        cr_expect_float_eq(f.scores[j], g.scores[j], 1e-5);
    }
    found_free(&f);
    found_free(&g);
    free(queries);
    pkm_index_destroy(&index);
    pkm_index_destroy(&moved);
    peer_ctx_destroy(&ctx);
}

Test(search, same_bits_for_any_number_of_threads)
{
    struct pkm_index_config config = {.n = 33, .width = 34, .kept = 7, .queries = 1000};
    float *queries = malloc(sizeof(float) * 1000 * 34);
    values_fill(queries, 1000 * 34, VALUES_NORMAL, 8, 80);
    struct found f[3];
    for (int threads = 1; threads <= 3; threads++) {
        struct found *g = &f[threads - 1];
        struct peer_ctx *ctx = failing_ctx(&all_granted, threads);
        struct pkm_index *index = make_index(ctx, &config);
        values_fill(pkm_index_keys(index), 33 * 34, VALUES_NORMAL, 8, 90);
        *g = found_alloc(1000, 7);
        pkm_index_search(index, g->ids, g->scores, queries, 1000);
        cr_expect_arr_eq(g->ids, f[0].ids, f[0].count * sizeof(int32_t));
        cr_expect_arr_eq(g->scores, f[0].scores, f[0].count * sizeof(float));
        pkm_index_destroy(&index);
        peer_ctx_destroy(&ctx);
    }
    for (int i = 0; i < 3; i++)
        found_free(&f[i]);
    free(queries);
}

Test(search, no_queries_write_nothing)
{
    struct peer_ctx *ctx = failing_ctx(&all_granted, 2);
    struct pkm_index *index =
        make_index(ctx, &(struct pkm_index_config){.n = 3, .width = 2, .kept = 2, .queries = 5});
    pkm_index_search(index, NULL, NULL, NULL, 0);
    pkm_index_search_exhaustive(index, NULL, NULL, NULL, 0);
    pkm_index_destroy(&index);
    pkm_index_destroy(&index);
    pkm_index_destroy(NULL);
    peer_ctx_destroy(&ctx);
}

Test(search, bad_sizes_are_named)
{
    static const struct {
        struct pkm_index_config config;
        const char *text;
    } cases[] = {
        {{0, 2, 1, 1}, "n = 0"},       {{46341, 2, 1, 1}, "n = 46341"},
        {{3, 0, 1, 1}, "width = 0"},   {{3, 7, 1, 1}, "width = 7"},
        {{3, 2, 0, 1}, "kept = 0"},    {{3, 2, 10, 1}, "kept = 10 of n*n = 9"},
        {{3, 2, 1, 0}, "queries = 0"},
    };
    struct peer_ctx *ctx = failing_ctx(&all_granted, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pkm_index *index = NULL;
        cr_expect_eq(pkm_index_create(&index, ctx, &cases[i].config), PEER_ERR_ARGUMENT);
        cr_expect_null(index);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].text), "case %zu: %s", i,
                  peer_ctx_error(ctx));
    }
    peer_ctx_destroy(&ctx);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    return pkm_index_create((struct pkm_index **)ret, ctx, config);
}

static void destroy(void **index)
{
    pkm_index_destroy((struct pkm_index **)index);
}

Test(search, every_failing_allocation_is_survived)
{
    struct pkm_index_config config = {.n = 7, .width = 6, .kept = 3, .queries = 5};
    cr_expect_geq(failing_every_allocation(create, destroy, &config), 4);
}
