/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"
#include "nn/tables/rows.h"
#include "tests/support/failing.h"

static struct peer_ctx *make_ctx(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static struct peer_rows *make_rows(struct peer_ctx *ctx, const struct peer_rows_config *config)
{
    struct peer_rows *rows = NULL;
    cr_assert_eq(peer_rows_create(&rows, ctx, config), PEER_OK, "%s", peer_ctx_error(ctx));
    return rows;
}

/* A row [u | gap | v] of widths D, 1, E: u from source 0, v from source 1, the gap from none. */
static struct peer_rows_config config_of(int64_t N, int64_t D, int64_t E, int64_t T, int64_t slots)
{
    return (struct peer_rows_config){.rows = N,
                                     .width = D + 1 + E,
                                     .tokens = T,
                                     .entries = T * slots,
                                     .segments = 2,
                                     .segment = {{0, D, 0}, {D + 1, E, 1}}};
}

/* Fills one pass with random rows below `spread`, one entry in eight without a row. */
static void fill(struct peer_rows *rows, int64_t T, int64_t slots, uint32_t spread, uint64_t seed)
{
    struct peer_rows_block block = peer_rows_reserve(rows, T, slots);
    int64_t D = rows->config.segment[0].width, E = rows->config.segment[1].width;
    for (int64_t e = 0; e < T * slots; e++) {
        bool none = peer_random_below(seed, 1, (uint64_t)e, 8) == 0;
        block.row[e] = none ? -1 : (int32_t)peer_random_below(seed, 2, (uint64_t)e, spread);
    }
    peer_fill_normal(block.coef[0], T * slots, 0, 1, seed, 3);
    peer_fill_normal(block.coef[1], T * slots, 0, 1, seed, 4);
    peer_fill_normal(block.source[0], T * D, 0, 1, seed, 5);
    peer_fill_normal(block.source[1], T * E, 0, 1, seed, 6);
}

/* Dense gradient [N, width] in double, and the sum of magnitudes of its terms. */
static void scatter(double *g, double *magnitude, const struct peer_rows *rows)
{
    const struct peer_rows_config *c = &rows->config;
    memset(g, 0, (size_t)(c->rows * c->width) * sizeof *g);
    memset(magnitude, 0, (size_t)(c->rows * c->width) * sizeof *magnitude);
    for (int64_t e = 0; e < rows->entries; e++)
        for (int s = 0; rows->row[e] >= 0 && s < c->segments; s++)
            for (int64_t j = 0; j < c->segment[s].width; j++) {
                int64_t at = rows->row[e] * c->width + c->segment[s].offset + j;
                const float *source = rows->source[c->segment[s].source];
                double term =
                    (double)rows->coef[s][e] * source[rows->token[e] * c->segment[s].width + j];
                g[at] += term;
                magnitude[at] += fabs(term);
            }
}

/* The gradient of every touched row against the scatter. A float sum of m products in any
 * order errs by at most m * eps * sum|terms|. */
static void expect_scatter(struct peer_rows *rows)
{
    const struct peer_rows_config *c = &rows->config;
    size_t size = (size_t)(c->rows * c->width);
    double *g = malloc(size * sizeof *g), *magnitude = malloc(size * sizeof *g);
    float *row = malloc((size_t)c->width * sizeof *row);
    scatter(g, magnitude, rows);
    for (int64_t i = 0; i < rows->touched; i++) {
        peer_rows_gradient(row, rows, i);
        int m = rows->first[i + 1] - rows->first[i];
        for (int64_t j = 0; j < c->width; j++) {
            size_t at = (size_t)(rows->ids[i] * c->width + j);
            cr_assert_leq(fabs(row[j] - g[at]), m * (double)FLT_EPSILON * magnitude[at],
                          "row %d column %d: %g, expected %g", rows->ids[i], (int)j, row[j], g[at]);
        }
    }
    free(g);
    free(magnitude);
    free(row);
}

/* ids ascend strictly; every entry with a row is in `order` once, under its row, in entry order. */
static void expect_grouped(const struct peer_rows *rows)
{
    int64_t with_row = 0;
    for (int64_t e = 0; e < rows->entries; e++)
        with_row += rows->row[e] >= 0;
    cr_expect_eq(rows->first[0], 0);
    cr_expect_eq(rows->first[rows->touched], with_row);
    for (int64_t i = 0; i < rows->touched; i++) {
        cr_expect(i == 0 || rows->ids[i] > rows->ids[i - 1]);
        cr_expect_lt(rows->first[i], rows->first[i + 1]);
        for (int32_t e = rows->first[i]; e < rows->first[i + 1]; e++) {
            cr_expect_eq(rows->row[rows->order[e]], rows->ids[i]);
            cr_expect(e == rows->first[i] || rows->order[e] > rows->order[e - 1]);
        }
    }
}

Test(rows, gradient_is_the_dense_scatter)
{
    static const struct {
        int64_t N, D, E, T, slots;
    } cases[] = {{1, 1, 1, 1, 1},
                 {2, 3, 2, 7, 3},
                 {17, 33, 7, 17, 5},
                 {5000, 7, 3, 33, 2},
                 {4097, 17, 17, 64, 9}};
    struct peer_ctx *ctx = make_ctx(2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer_rows_config config =
            config_of(cases[i].N, cases[i].D, cases[i].E, 2 * cases[i].T, cases[i].slots);
        struct peer_rows *rows = make_rows(ctx, &config);
        for (int step = 0; step < 2; step++) {
            peer_rows_clear(rows);
            fill(rows, cases[i].T, cases[i].slots, (uint32_t)cases[i].N, 100 * i + 1);
            fill(rows, cases[i].T, cases[i].slots, (uint32_t)cases[i].N, 100 * i + 2);
            peer_rows_group(rows);
            expect_grouped(rows);
            expect_scatter(rows);
        }
        peer_rows_destroy(&rows);
    }
    peer_ctx_destroy(&ctx);
}

/* Against the exact gradient's, value by value: a float value errs by m * eps * magnitude, hence
 * its square by twice that times |g|, and by the square of the error. */
Test(rows, squares_are_those_of_the_gradient)
{
    enum { N = 301, D = 33, E = 7, T = 17, slots = 11, width = D + 1 + E };
    static double g[N][width], magnitude[N][width];
    struct peer_ctx *ctx = make_ctx(2);
    struct peer_rows_config config = config_of(N, D, E, T, slots);
    struct peer_rows *rows = make_rows(ctx, &config);
    fill(rows, T, slots, N, 12);
    peer_rows_group(rows);
    scatter(g[0], magnitude[0], rows);
    int once = 0;
    for (int64_t i = 0; i < rows->touched; i++) {
        float scratch[width];
        int m = rows->first[i + 1] - rows->first[i];
        double expected = 0, bound = 0;
        for (int j = 0; j < width; j++) {
            double value = g[rows->ids[i]][j];
            double error = m * (double)FLT_EPSILON * magnitude[rows->ids[i]][j];
            expected += value * value;
            bound += (2 * fabs(value) + error) * error;
        }
        cr_expect_float_eq(peer_rows_gradient_squares(scratch, rows, i), expected, bound);
        once += m == 1;
    }
    cr_expect(once > 20 && once < rows->touched - 20, "%d of %d rows have one entry", once,
              (int)rows->touched);
    peer_rows_destroy(&rows);
    peer_ctx_destroy(&ctx);
}

/* Row numbers that differ in one digit of the sort only, and the highest number there is. */
Test(rows, sorts_numbers_of_31_bits)
{
    static const int32_t numbers[] = {
        INT32_MAX - 1, 5, 1 << 22, 0, 1 << 11, -1, 5, 1 << 22, INT32_MAX - 1, (1 << 22) + 5,
        (1 << 11) + 5, 3};
    static const int32_t expected[] = {
        0, 3, 5, 1 << 11, (1 << 11) + 5, 1 << 22, (1 << 22) + 5, INT32_MAX - 1};
    enum { n = sizeof numbers / sizeof *numbers };
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_rows_config config = {.rows = INT32_MAX,
                                      .width = 1,
                                      .tokens = n,
                                      .entries = n,
                                      .segments = 1,
                                      .segment = {{0, 1, 2}}};
    struct peer_rows *rows = make_rows(ctx, &config);
    struct peer_rows_block block = peer_rows_reserve(rows, n, 1);
    memcpy(block.row, numbers, sizeof numbers);
    peer_rows_group(rows);
    cr_expect_eq(rows->touched, sizeof expected / sizeof *expected);
    cr_expect_arr_eq(rows->ids, expected, sizeof expected);
    expect_grouped(rows);
    peer_rows_destroy(&rows);
    peer_ctx_destroy(&ctx);
}

Test(rows, nothing_used_touches_nothing)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_rows_config config = config_of(3, 2, 2, 4, 2);
    struct peer_rows *rows = make_rows(ctx, &config);
    peer_rows_group(rows);
    cr_expect_eq(rows->touched, 0);
    struct peer_rows_block block = peer_rows_reserve(rows, 2, 2);
    memset(block.row, 0xff, 4 * sizeof *block.row);
    peer_rows_group(rows);
    cr_expect_eq(rows->touched, 0);
    cr_expect_eq(rows->first[0], 0);
    fill(rows, 2, 2, 3, 9);
    peer_rows_group(rows);
    cr_expect_gt(rows->touched, 0);
    peer_rows_clear(rows);
    peer_rows_group(rows);
    cr_expect_eq(rows->touched, 0);
    peer_rows_destroy(&rows);
    peer_ctx_destroy(&ctx);
}

/* Enough entries for several tiles of the sort. */
Test(rows, same_bits_for_any_number_of_threads)
{
    enum { N = 1000, D = 5, E = 3, T = 700, slots = 57, width = D + 1 + E };
    static float expected[N][width], got[N][width];
    struct peer_rows_config config = config_of(N, D, E, T, slots);
    for (int threads = 1; threads <= 3; threads++) {
        struct peer_ctx *ctx = make_ctx(threads);
        struct peer_rows *rows = make_rows(ctx, &config);
        fill(rows, T, slots, N, 77);
        peer_rows_group(rows);
        expect_grouped(rows);
        for (int64_t i = 0; i < rows->touched; i++)
            peer_rows_gradient(threads == 1 ? expected[i] : got[i], rows, i);
        if (threads > 1)
            cr_expect_arr_eq(expected, got, sizeof got, "%d threads", threads);
        peer_rows_destroy(&rows);
        peer_ctx_destroy(&ctx);
    }
}

static void expect_refused(struct peer_rows_config config, const char *part_of_text)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_rows *rows = NULL;
    cr_expect_eq(peer_rows_create(&rows, ctx, &config), PEER_ERR_ARGUMENT);
    cr_expect_null(rows);
    cr_expect(strstr(peer_ctx_error(ctx), part_of_text), "\"%s\" is not in \"%s\"", part_of_text,
              peer_ctx_error(ctx));
    peer_ctx_destroy(&ctx);
}

Test(rows, refusals_name_the_numbers)
{
    struct peer_rows_config good = config_of(3, 2, 2, 4, 2), bad = good;
    bad.rows = 0;
    expect_refused(bad, "rows = 0");
    bad.rows = (int64_t)1 << 31;
    expect_refused(bad, "rows = 2147483648");
    bad = good;
    bad.entries = (int64_t)1 << 40;
    expect_refused(bad, "entries = 1099511627776");
    bad = good;
    bad.segments = 4;
    expect_refused(bad, "segments = 4");
    bad = good;
    bad.segment[1].offset = 1;
    expect_refused(bad, "columns 0 to 1 and 1 to 2");
    bad = good;
    bad.segment[1].width = INT64_MAX;
    expect_refused(bad, "9223372036854775807 columns from 3");
    bad = good;
    bad.segment[1] = (struct peer_rows_segment){3, 1, 0};
    expect_refused(bad, "2 and 1 columns");
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    return peer_rows_create((struct peer_rows **)ret, ctx, config);
}

static void destroy(void **rows)
{
    peer_rows_destroy((struct peer_rows **)rows);
}

Test(rows, every_allocation_may_fail)
{
    struct peer_rows_config config = config_of(3, 2, 2, 4, 2);
    cr_expect_gt(failing_every_allocation(create, destroy, &config), 10);
}

Test(rows, memory_is_known_before_and_saturates)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_rows_config config = config_of(1001, 17, 7, 33, 5);
    struct peer_rows *rows = make_rows(ctx, &config);
    cr_expect_eq(peer_rows_memory(&config), peer_ctx_bytes(ctx));
    peer_rows_destroy(&rows);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);

    /* Few tokens, so that no array but the impossible one is large: a machine that does not promise
     * more memory than it has would fail at that first. */
    config = config_of(1, INT64_MAX / 4, 1, 3, 1);
    cr_expect_eq(peer_rows_memory(&config), SIZE_MAX);
    cr_expect_eq(peer_rows_create(&rows, ctx, &config), PEER_ERR_MEMORY);
    cr_expect(strstr(peer_ctx_error(ctx), "2305843009213693951"), "%s", peer_ctx_error(ctx));
    cr_expect_null(rows);
    peer_rows_destroy(&rows);
    peer_rows_destroy(NULL);
    peer_ctx_destroy(&ctx);
}
