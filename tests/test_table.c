/* SPDX-License-Identifier: MIT */
/* Tables of f32, bf16 and int8 rows: conversion, kernels against the double twin, layers on them.
 */
#define PEER_REAL_DOUBLE
#include "tests/support/table_layer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels_ref.h"
#include "nn/optim/optim.h"
#include "nn/random.h"
#include "nn/tables/table_lookup.h"
#include "peer/layer.h"
#include "pkm/layer.h"

enum { SEED = 5023, ROWS = 40, D = TABLE_LAYER_D, T = TABLE_LAYER_T };

static const struct peer_ffw_shape forward_only = {.forward_only = true};

/* The rounding errors of float and of bf16. */
static const double U = 1.0 / (1 << 24), U16 = 1.0 / (1 << 9);

static const int64_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47, 64, 65, 130};
enum { SIZES = sizeof sizes / sizeof *sizes, WIDEST = 170 };

#define EACH_LEVEL(cpu) for (enum peer_cpu cpu = PEER_CPU_REF; cpu <= peer_cpu_detect(); cpu++)

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

Test(bf16, every_value_is_its_own_nearest)
{
    for (uint32_t x = 0; x < 1 << 16; x++) {
        float wide = peer_bf16_value((uint16_t)x);
        cr_expect_eq(to_bits(wide), x << 16);
        if (isnan(wide))
            cr_expect(isnan(peer_bf16_value(peer_bf16_nearest(wide))));
        else
            cr_expect_eq(peer_bf16_nearest(wide), x);
    }
}

/* Between two neighbours: the nearer one, in the middle the even one. */
Test(bf16, rounds_to_the_nearest_and_to_even)
{
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t bits = peer_random_bits(SEED, 1, i), below = bits >> 16;
        if ((below & 0x7f80) == 0x7f80)
            continue;
        uint32_t rest = i % 10 ? bits & 0xffff : 0x8000;
        uint32_t up = rest > 0x8000 || (rest == 0x8000 && (below & 1));
        cr_expect_eq(peer_bf16_nearest(from_bits(below << 16 | rest)), below + up, "%x", bits);
    }
    cr_expect(isinf(peer_bf16_value(peer_bf16_nearest(3.4e38f))));
    cr_expect(isnan(peer_bf16_value(peer_bf16_nearest(from_bits(0x7f800001)))));
    cr_expect(isinf(peer_bf16_value(peer_bf16_nearest(-INFINITY))));
}

/* Draws by (seed, step, row, column): the mean of many steps is the value, and all levels agree. */
Test(bf16, rows_are_rounded_at_random_without_bias)
{
    enum { WIDTH = 133, STEPS = 4096 };
    static double sum[WIDTH];
    float values[WIDTH];
    uint16_t rows[3 * WIDTH], other[WIDTH];
    struct peer_table table = {
        .type = PEER_TABLE_BF16, .rows = 3, .width = WIDTH, .segments = 1, .bf16 = rows};
    table.seed = SEED;
    peer_fill_uniform(values, WIDTH, 1, 2, SEED, 3);
    for (int step = 1; step <= STEPS; step++) {
        EACH_LEVEL (cpu) {
            peer_table_round(&table, peer_kernels_for(cpu), values, cpu == PEER_CPU_REF ? 1 : 2,
                             step);
            peer_table_round(&table, peer_kernels_for(cpu), values, 1, step);
            if (cpu == PEER_CPU_REF)
                memcpy(other, rows + WIDTH, sizeof other);
            cr_assert_arr_eq(other, rows + WIDTH, sizeof other);
        }
        for (int i = 0; i < WIDTH; i++)
            sum[i] += peer_bf16_value(rows[WIDTH + i]);
    }
    cr_expect(memcmp(rows + WIDTH, rows + 2 * WIDTH, sizeof other), "rows draw the same");
    /* Each rounding errs by at most 2^-7 with deviation below 2^-8: five deviations of the mean. */
    for (int i = 0; i < WIDTH; i++)
        cr_expect(fabs(sum[i] / STEPS - values[i]) <= 5.0 / 256 / sqrt(STEPS), "%d: %g, %g", i,
                  sum[i] / STEPS, values[i]);
}

/* A table in memory of its own, its values, and what they became, in double. */
struct filled {
    struct peer_table table;
    float values[ROWS * WIDEST];
    double rounded[ROWS * WIDEST];
    uint16_t bf16[ROWS * WIDEST];
    int8_t int8[ROWS * WIDEST];
    float f32[ROWS * WIDEST], scales[ROWS * 3];
};

static void fill(struct filled *f, enum peer_table_type type, int64_t width, int segments,
                 uint64_t stream)
{
    f->table =
        (struct peer_table){.type = type, .rows = ROWS, .width = width, .segments = segments};
    f->table.f32 = type == PEER_TABLE_F32 ? f->f32 : NULL;
    f->table.bf16 = type == PEER_TABLE_BF16 ? f->bf16 : NULL;
    f->table.int8 = type == PEER_TABLE_INT8 ? f->int8 : NULL;
    f->table.scales = type == PEER_TABLE_INT8 ? f->scales : NULL;
    peer_fill_normal(f->values, ROWS * width, 0, 1, SEED, stream);
    static float read[ROWS * WIDEST];
    peer_table_write(&f->table, f->values, 0, ROWS);
    peer_table_read(read, &f->table, 0, ROWS);
    for (int64_t i = 0; i < ROWS * width; i++)
        f->rounded[i] = read[i];
}

Test(table, int8_errs_by_half_a_scale)
{
    static struct filled f;
    fill(&f, PEER_TABLE_INT8, 33, 3, 4);
    for (int64_t i = 0; i < ROWS * 33; i++) {
        int64_t segment = i / 11;
        double most = 0;
        for (int64_t c = segment * 11; c < (segment + 1) * 11; c++)
            most = fmax(most, fabs(f.values[c]));
        cr_expect_eq(f.scales[segment], (float)most / 127);
        cr_expect(fabs(f.rounded[i] - f.values[i]) <= f.scales[segment] * (0.5 + 400 * U));
        cr_expect(abs(f.int8[i]) <= 127);
    }
}

Test(table, int8_of_zeros_infinities_and_nan)
{
    int8_t int8[8];
    float scales[4];
    float values[8] = {0, -0.0f, 1, INFINITY, NAN, 3, 1e-45f, 1e-40f}, read[8];
    struct peer_table table = {.type = PEER_TABLE_INT8,
                               .rows = 1,
                               .width = 8,
                               .segments = 4,
                               .int8 = int8,
                               .scales = scales};
    peer_table_write(&table, values, 0, 1);
    peer_table_read(read, &table, 0, 1);
    cr_expect(read[0] == 0 && read[1] == 0);
    for (int i = 2; i < 6; i++)
        cr_expect(isnan(read[i]), "%d: %g", i, read[i]);
    cr_expect(read[6] >= 0 && read[6] <= 1e-40f && read[7] <= 2e-40f);
}

/* 190 and -190 of the smallest number: the scale, 1.5 of it, is rounded to 1. */
Test(table, int8_of_the_smallest_numbers_keeps_their_sign)
{
    int8_t int8[2];
    float scale, values[2] = {190 * 0x1p-149f, -190 * 0x1p-149f};
    struct peer_table table = {.type = PEER_TABLE_INT8,
                               .rows = 1,
                               .width = 2,
                               .segments = 1,
                               .int8 = int8,
                               .scales = &scale};
    peer_table_write(&table, values, 0, 1);
    cr_expect_eq(int8[0], 127);
    cr_expect_eq(int8[1], -127);
}

Test(table, some_rows_are_written_and_no_others)
{
    static struct filled f;
    for (enum peer_table_type type = 0; type < PEER_TABLE_COUNT; type++) {
        float ones[2 * 6], read[ROWS * 6];
        fill(&f, type, 6, 2, 9);
        for (int i = 0; i < 12; i++)
            ones[i] = 1;
        peer_table_write(&f.table, ones, 7, 2);
        peer_table_read(read, &f.table, 0, ROWS);
        for (int i = 0; i < ROWS * 6; i++)
            cr_expect_eq(read[i], i / 6 == 7 || i / 6 == 8 ? 1 : (float)f.rounded[i]);
        peer_table_read(read, &f.table, 8, 1);
        cr_expect_eq(read[5], 1);
    }
}

Test(table, row_bytes)
{
    cr_expect_eq(peer_table_row_bytes(PEER_TABLE_F32, 6, 2), 24);
    cr_expect_eq(peer_table_row_bytes(PEER_TABLE_BF16, 6, 2), 12);
    cr_expect_eq(peer_table_row_bytes(PEER_TABLE_INT8, 6, 2), 14);
}

/* What a layer says of its rows' bytes; the moments stay floats. */
Test(table, cost_counts_the_bytes_of_the_type)
{
    const struct peer_ffw_type *const both[] = {&peer_ffw_peer, &peer_ffw_pkm};
    static const double per_row[2][PEER_TABLE_COUNT] = {{160, 80, 48}, {80, 40, 24}};
    for (int i = 0; i < 2; i++)
        for (enum peer_table_type table = 0; table < PEER_TABLE_COUNT; table++) {
            struct peer_layer_config peer = peer_layer_config_default(20);
            struct pkm_config pkm = pkm_config_default(20);
            struct peer_cost cost = {0}, f32 = {0};
            both[i]->cost(&f32, i ? (void *)&pkm : &peer, 20);
            peer.table = pkm.table = table;
            both[i]->cost(&cost, i ? (void *)&pkm : &peer, 20);
            double saved = (per_row[i][0] - per_row[i][table]) * (i ? 8 * 32 : 8 * 16);
            cr_expect_eq(f32.bytes_forward - cost.bytes_forward, saved);
            cr_expect_eq(f32.bytes_train - cost.bytes_train, 4 * saved);
            cr_expect_eq(f32.params_total, cost.params_total);
            cr_expect_eq((double)cost.table_bytes, per_row[i][table] * (double)cost.table_rows);
        }
}

/* Ids of which some are -1, and x or coefficients. */
struct query {
    int32_t ids[120];
    float x[WIDEST], y[WIDEST];
    double x64[WIDEST], y64[WIDEST];
};

static void ask(struct query *q, uint64_t stream)
{
    for (uint64_t j = 0; j < 120; j++)
        q->ids[j] = peer_random_below(SEED, stream, j, 5)
                        ? (int32_t)peer_random_below(SEED, stream, 500 + j, ROWS)
                        : -1;
    peer_fill_normal(q->x, WIDEST, 0.5f, 1, SEED, stream + 1);
    peer_fill_normal(q->y, WIDEST, 0, 1, SEED, stream + 2);
    for (int i = 0; i < WIDEST; i++) {
        q->x64[i] = q->x[i];
        q->y64[i] = q->y[i];
    }
}

/* Two roundings more than the kernel's: of the scale's product. */
static void expect_dots(const struct filled *f, const struct query *q, int segment, int64_t m,
                        enum peer_cpu cpu)
{
    const struct peer_table *t = &f->table;
    int64_t part = t->width / t->segments;
    float out[122];
    for (int j = 0; j < 122; j++)
        out[j] = -12345;
    peer_table_dot(out + 1, t, peer_kernels_for(cpu), segment, q->ids, m, 120 - m, q->x);
    cr_expect(out[0] == -12345 && out[m + 1] == -12345);
    for (int64_t j = 0; j < m; j++) {
        const double *row =
            f->rounded + (q->ids[j] < 0 ? 0 : q->ids[j] * t->width) + segment * part;
        double exact = 0, size = 0;
        for (int64_t i = 0; q->ids[j] >= 0 && i < part; i++) {
            exact += row[i] * q->x64[i];
            size += fabs(row[i] * q->x64[i]);
        }
        cr_expect(fabs(out[j + 1] - exact) <= (double)(part + 2) * U * size, "%s %s D %ld: %g, %g",
                  peer_cpu_name(cpu), peer_table_names[t->type], (long)part, out[j + 1], exact);
    }
}

static void expect_sums(const struct filled *f, const struct query *q, int segment, int64_t m,
                        enum peer_cpu cpu)
{
    const struct peer_table *t = &f->table;
    int64_t part = t->width / t->segments;
    float y[WIDEST + 1];
    memcpy(y, q->y, sizeof q->y);
    peer_table_axpy(y, t, peer_kernels_for(cpu), segment, q->ids, m, 120 - m, q->x);
    cr_expect_arr_eq(y + part, q->y + part, (size_t)(WIDEST - part) * sizeof *y);
    for (int64_t i = 0; i < part; i++) {
        double exact = q->y64[i], size = fabs(exact);
        for (int64_t j = 0; j < m; j++) {
            double term = q->ids[j] < 0
                              ? 0
                              : q->x64[j] * f->rounded[q->ids[j] * t->width + segment * part + i];
            exact += term;
            size += fabs(term);
        }
        cr_expect(fabs(y[i] - exact) <= (double)(m + 3) * U * size, "%s %s D %ld m %ld: %g, %g",
                  peer_cpu_name(cpu), peer_table_names[t->type], (long)part, (long)m, y[i], exact);
    }
}

Test(table, lookups_match_their_sums_in_double)
{
    static struct filled f;
    static struct query q;
    for (enum peer_table_type type = 0; type < PEER_TABLE_COUNT; type++)
        for (int s = 0; s < SIZES; s++) {
            int segments = sizes[s] * 3 <= WIDEST ? 1 + s % 3 : 1;
            fill(&f, type, sizes[s] * segments, segments, (uint64_t)s + 20);
            ask(&q, (uint64_t)s + 40);
            for (int64_t m = 0; m <= 100; m += 1 + m / 2)
                EACH_LEVEL (cpu) {
                    expect_dots(&f, &q, segments - 1, m, cpu);
                    expect_sums(&f, &q, segments - 1, m, cpu);
                }
        }
}

/* The twins of the narrow kernels are the plain sums, too, and count as the f32 ones do. */
Test(table, narrow_twins_are_the_twins_of_widened_rows)
{
    static struct filled f;
    static struct query q;
    ask(&q, 70);
    for (enum peer_table_type type = PEER_TABLE_BF16; type < PEER_TABLE_COUNT; type++) {
        double dots[2][20], sums[2][17] = {{0}};
        fill(&f, type, 17, 1, 71);
        for (int64_t i = 0; i < ROWS * 17 && type == PEER_TABLE_INT8; i++)
            f.rounded[i] = f.int8[i];
        peer_counted[PEER_PART_EXPERTS] = 0;
        peer_rows_dot_f64(dots[0], f.rounded, 17, q.ids, 20, 0, q.x64, 17);
        peer_rows_axpy_f64(sums[0], f.rounded, 17, q.ids, 20, 0, q.x64, 17);
        int64_t counted = peer_counted[PEER_PART_EXPERTS];
        if (type == PEER_TABLE_BF16) {
            peer_rows_dot_bf16_f64(dots[1], f.bf16, 17, q.ids, 20, 0, q.x64, 17);
            peer_rows_axpy_bf16_f64(sums[1], f.bf16, 17, q.ids, 20, 0, q.x64, 17);
        } else {
            peer_rows_dot_int8_f64(dots[1], f.int8, 17, q.ids, 20, 0, q.x64, 17);
            peer_rows_axpy_int8_f64(sums[1], f.int8, 17, q.ids, 20, 0, q.x64, 17);
        }
        cr_expect_arr_eq(dots[0], dots[1], sizeof dots[0]);
        cr_expect_arr_eq(sums[0], sums[1], sizeof sums[0]);
        cr_expect(counted > 0 && peer_counted[PEER_PART_EXPERTS] == 2 * counted);
    }
}

static const struct peer_ffw_type *const types[] = {&peer_ffw_peer, &peer_ffw_pkm};

static const char *const variants[][6] = {
    {"query_norm=layer", "table=bf16", NULL},
    {"query_norm=batch", "expert=glu", "gated=true", "tables_per_head=true", "table=bf16", NULL},
};

/* Widening is exact and sums are made in one order: bf16 is f32 on rounded values, bit for bit. */
Test(table, a_bf16_layer_is_an_f32_layer_of_rounded_values)
{
    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            struct table_layer narrow, wide;
            const char *options[6];
            memcpy(options, variants[v], sizeof options);
            cr_assert_eq(table_layer_create(&narrow, types[i], options, NULL, 2), PEER_OK);
            for (int o = 0; options[o]; o++)
                options[o] = strncmp(options[o], "table=", 6) ? options[o] : "table=f32";
            cr_assert_eq(table_layer_create(&wide, types[i], options, NULL, 2), PEER_OK);
            int64_t size = peer_param_size(wide.table), touched = 0;
            for (int64_t j = 0; j < size; j++) {
                uint16_t nearest = peer_bf16_nearest(wide.table->data[j]);
                cr_expect_eq(narrow.table->table->bf16[j], nearest, "the initial values");
                wide.table->data[j] = peer_bf16_value(nearest);
            }
            table_layer_run(&narrow);
            table_layer_run(&wide);
            cr_expect_arr_eq(narrow.y, wide.y, T * D * sizeof(float));
            cr_expect_arr_eq(narrow.dx, wide.dx, T * D * sizeof(float));
            peer_rows_group(narrow.table->rows);
            peer_rows_group(wide.table->rows);
            touched = wide.table->rows->touched;
            cr_expect(touched > 0 && touched == narrow.table->rows->touched);
            float a[3 * D], b[3 * D];
            for (int64_t r = 0; r < touched; r++) {
                peer_rows_gradient(a, narrow.table->rows, r);
                peer_rows_gradient(b, wide.table->rows, r);
                cr_expect_arr_eq(a, b, (size_t)wide.table->shape[1] * sizeof(float));
            }
            cr_expect_eq(peer_param_bytes(narrow.table), (size_t)size * 2);
            table_layer_destroy(&narrow);
            table_layer_destroy(&wide);
        }
}

static double sum_of(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs(a[i] * b[i]);
    return sum;
}

/* The bound of KERNELS.md for one token of a single-neuron relu layer, whose slope is at most 1:
 * values err by `relative` of themselves and by `absolute`. */
static void expect_within(const struct table_layer *rough, const struct table_layer *fine,
                          double relative, double scale_part)
{
    struct peer_routing routing;
    peer_ffw_routing(rough->object, &routing);
    const float *table = fine->table->data;
    for (int64_t t = 0; t < T; t++) {
        double bound[D] = {0}, x[D], u[D], ones[D];
        for (int64_t d = 0; d < D; d++) {
            x[d] = fine->x[t * D + d];
            ones[d] = 1;
        }
        for (int64_t s = t * routing.heads * routing.kept;
             s < (t + 1) * routing.heads * routing.kept; s++) {
            const float *row = table + routing.ids[s] * 2 * D;
            double most_u = 0, most_v = 0, a = 0;
            for (int64_t d = 0; d < D; d++) {
                u[d] = row[d];
                a += u[d] * x[d];
                most_u = fmax(most_u, fabs(row[d]));
                most_v = fmax(most_v, fabs(row[D + d]));
            }
            double da = relative * sum_of(u, x, D) + scale_part * most_u * sum_of(ones, x, D);
            for (int64_t d = 0; d < D; d++) {
                double v = fabs(row[D + d]), dv = relative * v + scale_part * most_v;
                bound[d] += routing.gates[s] * (fmax(a, 0) * dv + da * (v + dv));
            }
        }
        for (int64_t d = 0; d < D; d++)
            cr_expect(fabs((double)rough->y[t * D + d] - fine->y[t * D + d]) <=
                          bound[d] * (1 + 1e-3) + 1e-6,
                      "%g %g: %g", rough->y[t * D + d], fine->y[t * D + d], bound[d]);
    }
}

Test(table, y_errs_within_the_documented_bounds)
{
    static const struct {
        const char *table;
        double relative, scale_part;
    } cases[] = {{"table=bf16", U16, 0}, {"table=int8", 0, 1.0 / 254}};
    for (int c = 0; c < 2; c++) {
        struct table_layer rough, fine;
        const char *options[] = {"query_norm=none", "activation=relu", cases[c].table, NULL};
        cr_assert_eq(table_layer_create(&rough, &peer_ffw_peer, options, &forward_only, 2),
                     PEER_OK);
        options[2] = "table=f32";
        cr_assert_eq(table_layer_create(&fine, &peer_ffw_peer, options, &forward_only, 2), PEER_OK);
        peer_table_write(rough.table->table, fine.table->data, 0, fine.table->shape[0]);
        peer_ffw_forward(rough.object, rough.y, rough.x, NULL, T, PEER_MODE_EVAL);
        peer_ffw_forward(fine.object, fine.y, fine.x, NULL, T, PEER_MODE_EVAL);
        cr_expect(memcmp(rough.y, fine.y, T * D * sizeof(float)));
        expect_within(&rough, &fine, cases[c].relative, cases[c].scale_part);
        table_layer_destroy(&rough);
        table_layer_destroy(&fine);
    }
}

/* Whatever an optimizer keeps, the rows that it touches move and the others stand still. */
Test(table, optimizers_step_rows_of_bf16)
{
    const char *const options[] = {"table=bf16", NULL};
    for (enum peer_optim_rows rows = 0; rows < PEER_ROWS_COUNT; rows++) {
        struct table_layer l;
        struct peer_optim *optim = NULL;
        struct peer_optim_config config = peer_optim_config_default();
        config.rows = rows;
        config.rows_moments = PEER_TYPE_BF16;
        cr_assert_eq(table_layer_create(&l, &peer_ffw_peer, options, NULL, 2), PEER_OK);
        enum peer_status status = peer_optim_create(&optim, l.ctx, &l.params, &config);
        cr_expect_eq(status, rows == PEER_ROWS_DEFERRED_ADAMW ? PEER_ERR_ARGUMENT : PEER_OK);
        if (!status) {
            size_t bytes = peer_param_bytes(l.table), width = (size_t)l.table->shape[1] * 2;
            char *now = peer_param_memory(l.table), *before = malloc(bytes);
            memcpy(before, now, bytes);
            table_layer_run(&l);
            peer_rows_group(l.table->rows);
            int64_t touched = l.table->rows->touched, moved = 0;
            peer_optim_step(optim, 0.01f);
            for (int64_t row = 0; row < l.table->shape[0]; row++)
                moved +=
                    memcmp(now + (size_t)row * width, before + (size_t)row * width, width) != 0;
            cr_expect(moved <= touched && moved > touched / 2, "%d: %ld of %ld", (int)rows,
                      (long)moved, (long)touched);
            free(before);
            peer_optim_destroy(&optim);
        }
        table_layer_destroy(&l);
    }
}

Test(table, int8_is_refused_where_a_layer_trains)
{
    const char *const options[] = {"table=int8", NULL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct table_layer l;
        cr_expect_eq(table_layer_create(&l, types[i], options, NULL, 2), PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(l.ctx), "table = int8 where the table trains"));
        cr_expect_eq(peer_ctx_bytes(l.ctx), 0);
        peer_ctx_destroy(&l.ctx);
        cr_assert_eq(table_layer_create(&l, types[i], options, &forward_only, 2), PEER_OK);
        cr_expect_eq(l.table->kind, PEER_PARAM_BUFFER);
        table_layer_destroy(&l);
    }
}
