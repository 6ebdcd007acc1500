/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/optim/optim.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/optim_case.h"

static struct peer_optim_config plain(enum peer_optim_kind kind)
{
    struct peer_optim_config config = peer_optim_config_default();
    config.dense = kind;
    config.rows = kind == PEER_OPTIM_SGD ? PEER_ROWS_SGD : PEER_ROWS_ADAMW;
    config.weight_decay = config.clip = 0;
    return config;
}

static void add_dense(struct peer_params *list, const char *name, float *data, float *grad,
                      int64_t n, float lr_scale, float decay)
{
    struct peer_param param = {.kind = PEER_PARAM_DENSE,
                               .dims = 1,
                               .shape = {n},
                               .data = data,
                               .grad = grad,
                               .lr_scale = lr_scale,
                               .decay = decay};
    cr_assert_eq(peer_params_add(list, name, &param), PEER_OK);
}

/* beta1 = 1/2, beta2 = 3/4, epsilon = 1/2, lr = 0.1, weight decay 1/2, p = 1.
 * Step 1, g = 1/2: m = 1/4, v = 1/16; corrected 1/2 and 1/4; p = 0.95 - 0.1 * 0.5 / (0.5 + 0.5).
 * Step 2, g = 1/2: the corrected moments stay; p = 0.95 * 0.9 - 0.05 = 0.805. With g = -1/4
 * m = 1/8 - 1/8 = 0 and only the decay moves p: 0.95 * 0.9 = 0.855. */
Test(optim, adamw_by_hand)
{
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    float p[2] = {1, 1}, g[2] = {0.5f, 0.5f};
    add_dense(&list, "p", p, g, 2, 1, 1);
    struct peer_optim_config config = plain(PEER_OPTIM_ADAMW);
    config.beta1 = 0.5f;
    config.beta2 = 0.75f;
    config.epsilon = 0.5f;
    config.weight_decay = 0.5f;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    double norm = peer_optim_step(optim, 0.1f);
    cr_expect_float_eq(norm, sqrt(0.5), 1e-15);
    cr_expect_float_eq(p[0], 0.9, 2e-7);
    cr_expect_eq(g[0], 0);
    g[0] = 0.5f;
    g[1] = -0.25f;
    peer_optim_step(optim, 0.1f);
    cr_expect_float_eq(p[0], 0.805, 2e-7);
    cr_expect_float_eq(p[1], 0.855, 2e-7);
    cr_expect_eq(peer_optim_steps(optim), 2);
    peer_optim_destroy(&optim);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Decay acts on the old value: 2 * (1 - 0.5 * 2 * 0.25 * 0.5) - 0.5 * 2 * 3 = 1.75 - 3. */
Test(optim, sgd_by_hand)
{
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    float p = 2, g = 3;
    add_dense(&list, "p", &p, &g, 1, 2, 0.25f);
    struct peer_optim_config config = plain(PEER_OPTIM_SGD);
    config.weight_decay = 0.5f;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    cr_expect_eq(peer_optim_step(optim, 0.5f), 3);
    cr_expect_eq(p, -1.25f);
    peer_optim_destroy(&optim);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Gradients 3 (dense) and 4 (one row): norm 5, and clipping at 1 scales both by 1/5. */
Test(optim, clipping_includes_rows)
{
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    float p = 0, g = 3, table[3] = {7, 7, 7};
    const float one = 1;
    add_dense(&list, "p", &p, &g, 1, 1, 1);
    struct peer_rows *rows = optim_case_table(&list, "table", table, 3, 1, 1);
    struct peer_optim_config config = plain(PEER_OPTIM_SGD);
    config.clip = 1;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    optim_case_touch(rows, 1, 4, &one);
    cr_expect_eq(peer_optim_step(optim, 1), 5);
    cr_expect_float_eq(p, -0.6, 1e-6);
    cr_expect_float_eq(table[1], 6.2, 1e-6);
    cr_expect_eq(table[0], 7);
    cr_expect_eq(table[2], 7);
    cr_expect_eq(rows->entries, 0);

    g = 0.25f;
    cr_expect_eq(peer_optim_step(optim, 1), 0.25);
    cr_expect_float_eq(p, -0.85, 1e-6, "a norm below the clip changes nothing");
    cr_expect_float_eq(table[1], 6.2, 1e-6, "a cleared row has no gradient");
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Applied on request, as IEEE arithmetic has it. */
Test(optim, a_gradient_that_is_not_finite_can_be_applied)
{
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    float p[3] = {1, 1, 1}, g[3] = {1, NAN, 2};
    add_dense(&list, "p", p, g, 3, 1, 1);
    struct peer_optim_config config = plain(PEER_OPTIM_SGD);
    config.clip = 0.5f;
    config.nonfinite = PEER_NONFINITE_APPLY;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    cr_expect(isnan(peer_optim_step(optim, 1)));
    cr_expect_eq(p[0], 0);
    cr_expect(isnan(p[1]));
    cr_expect_eq(p[2], -1);
    g[0] = INFINITY;
    g[2] = 2;
    p[1] = 1;
    cr_expect_eq(peer_optim_step(optim, 1), INFINITY);
    cr_expect_eq(p[0], -INFINITY);
    cr_expect_eq(p[1], 1);
    cr_expect_eq(p[2], -3);
    cr_expect_eq(peer_optim_skipped(optim), 0);
    peer_optim_destroy(&optim);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Two optimizers take the same good steps, one of them with bad ones between, in a dense entry or
 * in a table: every bit is as without these. */
Test(optim, a_gradient_that_cannot_be_taken_leaves_all_as_it_is)
{
    enum { N = 5, D = 3 };
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e38f, 3e19f};
    for (int kind = 0; kind < PEER_ROWS_COUNT; kind++)
        for (int clips = 0; clips < 2; clips++)
            for (int held = 0; held < 2; held++) {
                float p[2][4], table[2][N * D], end[2][4 + N * D];
                for (int bad = 0; bad < 2; bad++) {
                    struct peer_ctx *ctx = optim_case_ctx(2);
                    struct peer_params list = peer_params_empty(ctx);
                    float g[4] = {0}, row[D] = {1, -2, 3};
                    for (int i = 0; i < 4; i++)
                        p[bad][i] = (float)i;
                    for (int i = 0; i < N * D; i++)
                        table[bad][i] = (float)i;
                    add_dense(&list, "p", p[bad], g, 4, 1, 1);
                    struct peer_rows *rows = optim_case_table(&list, "t", table[bad], N, D, 4);
                    struct peer_optim_config config = peer_optim_config_default();
                    config.rows = (enum peer_optim_rows)kind;
                    config.clip = clips ? 1 : 0;
                    config.nonfinite = held ? PEER_NONFINITE_HOLD : PEER_NONFINITE_SKIP;
                    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
                    int skipped = 0;
                    for (int step = 0; step < 12; step++) {
                        float value = values[step % 5];
                        for (int i = 0; i < 4; i++)
                            g[i] = 0.1f * (float)(i + step);
                        optim_case_touch(rows, step % N, 0.5f, row);
                        cr_expect(peer_optim_takes(optim, peer_optim_step(optim, 0.01f)));
                        bool refused = !clips || !isfinite(value);
                        if (!bad || !refused)
                            continue;
                        g[2] = step % 2 ? value : 0;
                        optim_case_touch(rows, 1, 1, (float[]){1, step % 2 ? 1 : value, 2});
                        cr_expect(!peer_optim_takes(optim, peer_optim_step(optim, 0.01f)));
                        skipped++;
                        cr_expect_eq(isfinite(g[2]) && g[2] == 0, !held || step % 2 == 0);
                        cr_expect_eq(rows->entries, held, "held entries stay");
                        peer_params_zero_grad(&list);
                    }
                    cr_expect_eq(peer_optim_steps(optim), 12);
                    cr_expect_eq(peer_optim_skipped(optim), skipped);
                    peer_optim_catch_up(optim);
                    memcpy(end[bad], p[bad], sizeof p[bad]);
                    memcpy(end[bad] + 4, table[bad], sizeof table[bad]);
                    peer_optim_destroy(&optim);
                    peer_rows_destroy(&rows);
                    peer_params_free(&list);
                    peer_ctx_destroy(&ctx);
                }
                cr_expect_arr_eq(end[0], end[1], sizeof end[0], "%s clips %d held %d",
                                 peer_optim_rows_names[kind], clips, held);
            }
}

/* The formula in double over n values, n beyond one tile. */
struct twin {
    double *p, *m, *v;
};

static void twin_step(struct twin *t, const float *g, int64_t n, double scale, double lr,
                      double decay, const struct peer_optim_config *c, int step)
{
    double b1 = c->beta1, b2 = c->beta2;
    for (int64_t i = 0; i < n; i++) {
        double gradient = g[i] * scale;
        t->m[i] = b1 * t->m[i] + (1 - b1) * gradient;
        t->v[i] = b2 * t->v[i] + (1 - b2) * gradient * gradient;
        double m = t->m[i] / (1 - pow(b1, step)), v = t->v[i] / (1 - pow(b2, step));
        t->p[i] = t->p[i] * (1 - lr * decay) - lr * m / (sqrt(v) + c->epsilon);
    }
}

/* m is a float sum of up to 6 terms and v of positive ones; with six steps at beta2 = 0.95 the sum
 * of |terms of m| over sqrt(v) is below 3, so that one update errs by less than 64 eps lr; p adds
 * two roundings per step. */
Test(optim, adamw_is_the_formula)
{
    enum { n = 16384 + 37, STEPS = 6 };
    static float p[n], g[n];
    static double twin_p[n], twin_m[n], twin_v[n];
    const float lr = 0.01f, lr_scale = 0.5f, decay = 0.75f;
    struct peer_ctx *ctx = optim_case_ctx(2);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_optim_config config = peer_optim_config_default();
    struct twin twin = {twin_p, twin_m, twin_v};
    add_dense(&list, "p", p, g, n, lr_scale, decay);
    peer_fill_normal(p, n, 0, 1, 1, 1);
    for (int i = 0; i < n; i++)
        twin_p[i] = p[i];
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    for (int step = 1; step <= STEPS; step++) {
        peer_fill_normal(g, n, 0, step % 2 ? 0.001f : 1, 1, (uint64_t)(10 + step));
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += (double)g[i] * g[i];
        double norm = sqrt(sum), scale = norm > 1 ? 1 / norm : 1;
        twin_step(&twin, g, n, scale, lr * (double)lr_scale, decay * (double)config.weight_decay,
                  &config, step);
        double returned = peer_optim_step(optim, lr);
        cr_expect_float_eq(returned, norm, 1e-12 * norm);
    }
    for (int i = 0; i < n; i++)
        cr_assert_float_eq(p[i], twin_p[i],
                           STEPS * FLT_EPSILON * (64 * lr * lr_scale + 2 * (1 + fabs(twin_p[i]))),
                           "value %d: %.9g, expected %.9g", i, p[i], twin_p[i]);
    peer_optim_destroy(&optim);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Rows touched in every step move as a dense entry with the same gradient does; others keep their
 * bits, weights and moments. */
Test(optim, lazy_rows_are_dense_adam_where_touched)
{
    enum { N = 300, D = 33, TOUCHED = 97, STEPS = 4 };
    static float table[N * D], before[N * D], dense[TOUCHED * D], grad[TOUCHED * D];
    struct peer_ctx *ctx = optim_case_ctx(2);
    struct peer_params list = peer_params_empty(ctx);
    peer_fill_normal(table, N * D, 0, 1, 3, 1);
    memcpy(before, table, sizeof table);
    for (int i = 0; i < TOUCHED; i++)
        memcpy(dense + i * D, table + 3 * i * D, D * sizeof *dense);
    struct peer_rows *rows = optim_case_table(&list, "table", table, N, D, 2 * TOUCHED);
    add_dense(&list, "dense", dense, grad, TOUCHED * D, 1, 1);
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    for (int step = 0; step < STEPS; step++) {
        for (int i = TOUCHED - 1; i >= 0; i--) {
            float g[D];
            peer_fill_normal(g, D, 0, 1, 5, (uint64_t)(step * TOUCHED + i));
            optim_case_touch(rows, 3 * i, 0.75f, g);
            for (int j = 0; j < D; j++)
                grad[i * D + j] = 0.75f * g[j];
        }
        peer_optim_step(optim, 0.01f);
    }
    for (int row = 0; row < N; row++) {
        bool touched = row % 3 == 0 && row / 3 < TOUCHED;
        const float *expected = touched ? dense + row / 3 * D : before + row * D;
        cr_expect_arr_eq(table + row * D, expected, D * sizeof *table, "row %d", row);
        if (touched)
            cr_expect_arr_neq(table + row * D, before + row * D, D * sizeof *table);
    }
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* A small model that takes steps with random gradients: two dense entries around a table. */
enum { MODEL_N = 500, MODEL_D = 17, MODEL_A = 40000, MODEL_B = 3, MODEL_T = 400 };

struct model {
    float table[MODEL_N * MODEL_D], a[MODEL_A], b[MODEL_B], da[MODEL_A], db[MODEL_B];
};

static struct peer_rows *model_list(struct peer_params *list, struct model *model)
{
    memset(model, 0, sizeof *model);
    add_dense(list, "a", model->a, model->da, MODEL_A, 1, 1);
    struct peer_rows *rows =
        optim_case_table(list, "table", model->table, MODEL_N, MODEL_D, MODEL_T);
    add_dense(list, "b", model->b, model->db, MODEL_B, 3, 0);
    list->items[0].init = (struct peer_init){PEER_INIT_NORMAL, 1};
    list->items[1].init = (struct peer_init){PEER_INIT_UNIFORM, 1};
    list->items[2].init = (struct peer_init){PEER_INIT_CONSTANT, 1};
    peer_params_init(list, 12);
    return rows;
}

static void model_gradients(struct model *model, struct peer_rows *rows, int step)
{
    uint64_t seed = (uint64_t)step;
    peer_fill_normal(model->da, MODEL_A, 0, 1, seed, 1);
    peer_fill_normal(model->db, MODEL_B, 0, 1, seed, 2);
    for (uint64_t t = 0; t < MODEL_T; t++) {
        float g[MODEL_D];
        peer_fill_normal(g, MODEL_D, 0, 1, seed, 100 + t);
        optim_case_touch(rows, (int32_t)peer_random_below(seed, 3, t, MODEL_N), 0.5f, g);
    }
}

static double model_step(struct model *model, struct peer_rows *rows, struct peer_optim *optim,
                         int step)
{
    model_gradients(model, rows, step);
    return peer_optim_step(optim, 0.01f);
}

static double model_norm(const struct model *model, const struct peer_rows *rows)
{
    static double table[MODEL_N * MODEL_D];
    double sum = 0;
    memset(table, 0, sizeof table);
    for (int64_t e = 0; e < rows->entries; e++)
        for (int j = 0; j < MODEL_D; j++)
            table[rows->row[e] * MODEL_D + j] +=
                (double)rows->coef[0][e] * rows->source[0][rows->token[e] * MODEL_D + j];
    for (int i = 0; i < MODEL_N * MODEL_D; i++)
        sum += table[i] * table[i];
    for (int i = 0; i < MODEL_A; i++)
        sum += (double)model->da[i] * model->da[i];
    for (int i = 0; i < MODEL_B; i++)
        sum += (double)model->db[i] * model->db[i];
    return sqrt(sum);
}

/* Several tiles of each kind; a row's sum has a handful of float roundings. A clip just above the
 * norm changes nothing, one just below it scales. */
Test(optim, norm_is_over_every_value_of_every_entry)
{
    static struct model model;
    struct peer_ctx *ctx = optim_case_ctx(2);
    for (int clips = 0; clips < 2; clips++) {
        struct peer_params list = peer_params_empty(ctx);
        struct peer_rows *rows = model_list(&list, &model);
        model_gradients(&model, rows, 4);
        double norm = model_norm(&model, rows);
        struct peer_optim_config config = plain(PEER_OPTIM_SGD);
        config.clip = (float)(norm * (clips ? 0.9 : 1.1));
        float old = model.a[MODEL_A - 1], g = model.da[MODEL_A - 1];
        struct peer_optim *optim = optim_case_create(ctx, &list, &config);
        double returned = peer_optim_step(optim, 1);
        cr_expect_float_eq(returned, norm, 8 * FLT_EPSILON * norm);
        cr_expect_float_eq(model.a[MODEL_A - 1], old - (clips ? 0.9 : 1) * g,
                           4 * FLT_EPSILON * (fabs(old) + fabs(g)));
        peer_optim_destroy(&optim);
        peer_rows_destroy(&rows);
        peer_params_free(&list);
    }
    peer_ctx_destroy(&ctx);
}

Test(optim, same_bits_for_any_number_of_threads)
{
    static struct model expected, got;
    double norm[4] = {0};
    for (int threads = 1; threads <= 3; threads++) {
        struct peer_ctx *ctx = optim_case_ctx(threads);
        struct peer_params list = peer_params_empty(ctx);
        struct model *model = threads == 1 ? &expected : &got;
        struct peer_rows *rows = model_list(&list, model);
        struct peer_optim_config config = peer_optim_config_default();
        struct peer_optim *optim = optim_case_create(ctx, &list, &config);
        for (int step = 0; step < 3; step++)
            norm[threads] = model_step(model, rows, optim, step);
        cr_expect_eq(norm[threads], norm[1]);
        if (threads > 1)
            cr_expect_arr_eq(&expected, &got, sizeof got, "%d threads", threads);
        peer_optim_destroy(&optim);
        peer_rows_destroy(&rows);
        peer_params_free(&list);
        peer_ctx_destroy(&ctx);
    }
}

/* Without clipping, norms are taken while gradients are applied. */
Test(optim, a_step_in_one_pass_is_a_step_in_two)
{
    static struct model models[2];
    double norms[2];
    for (int i = 0; i < 2; i++) {
        struct peer_ctx *ctx = optim_case_ctx(2);
        struct peer_params list = peer_params_empty(ctx);
        struct peer_rows *rows = model_list(&list, &models[i]);
        struct peer_optim_config config = peer_optim_config_default();
        config.clip = i ? 1e30f : 0;
        struct peer_optim *optim = optim_case_create(ctx, &list, &config);
        for (int step = 0; step < 3; step++)
            norms[i] = model_step(&models[i], rows, optim, step);
        peer_optim_destroy(&optim);
        peer_rows_destroy(&rows);
        peer_params_free(&list);
        peer_ctx_destroy(&ctx);
    }
    cr_expect_eq(norms[0], norms[1]);
    cr_expect_arr_eq(&models[0], &models[1], sizeof models[0]);
}

/* Steps of an entry whose gradient is marked instead of zeroed, some of them with no gradient at
 * all, beside those of the same entry without a mark. */
Test(optim, a_stale_gradient_is_none)
{
    enum { VALUES = 20001, STEPS = 4 };
    static float p[2][VALUES], g[2][VALUES];
    bool stale = false;
    for (int marked = 0; marked < 2; marked++) {
        struct peer_ctx *ctx = optim_case_ctx(2);
        struct peer_params list = peer_params_empty(ctx);
        peer_fill_normal(p[marked], VALUES, 0, 1, 9, 1);
        add_dense(&list, "p", p[marked], g[marked], VALUES, 1, 1);
        list.items[0].stale = marked ? &stale : NULL;
        struct peer_optim_config config = peer_optim_config_default();
        struct peer_optim *optim = optim_case_create(ctx, &list, &config);
        for (uint64_t step = 0; step < STEPS; step++) {
            if (step % 2 == 0) {
                peer_fill_normal(g[marked], VALUES, 0, 1, 9, 2 + step);
                stale = false;
            }
            double norm = peer_optim_step(optim, 0.1f);
            cr_expect_eq(norm > 0, step % 2 == 0);
            cr_expect_eq(stale, marked);
        }
        peer_optim_destroy(&optim);
        peer_params_free(&list);
        peer_ctx_destroy(&ctx);
    }
    cr_expect_arr_eq(p[0], p[1], sizeof p[0]);
}

Test(optim, a_step_asks_for_no_memory)
{
    static struct model model;
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 2);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_rows *rows = model_list(&list, &model);
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    int64_t asked = failing.asked;
    model_step(&model, rows, optim, 1);
    cr_expect_eq(failing.asked, asked);
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&ctx);
}

Test(optim, goes_on_from_saved_moments_and_steps)
{
    static struct model straight, resumed;
    struct peer_ctx *ctx = optim_case_ctx(2);
    struct peer_params lists[2] = {peer_params_empty(ctx), peer_params_empty(ctx)};
    struct peer_rows *rows[2] = {model_list(&lists[0], &straight), model_list(&lists[1], &resumed)};
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *first = optim_case_create(ctx, &lists[0], &config);
    struct peer_optim *second = optim_case_create(ctx, &lists[1], &config);
    model_step(&straight, rows[0], first, 1);
    model_step(&straight, rows[0], first, 2);

    resumed = straight;
    struct peer_params from = peer_params_empty(ctx), to = peer_params_empty(ctx);
    cr_assert_eq(peer_optim_state(first, &from), PEER_OK);
    cr_assert_eq(peer_optim_state(second, &to), PEER_OK);
    cr_expect_eq(from.count, 5);
    cr_expect_eq(peer_params_trained(&from), 0);
    cr_expect_not_null(peer_params_find(&from, "optim.moments.table"));
    for (int64_t i = 0; i < from.count; i++) {
        cr_expect_str_eq(from.items[i].name, to.items[i].name);
        memcpy(to.items[i].data, from.items[i].data,
               (size_t)peer_param_size(&to.items[i]) * sizeof(float));
    }
    peer_optim_set_steps(second, peer_optim_steps(first));

    model_step(&straight, rows[0], first, 3);
    model_step(&resumed, rows[1], second, 3);
    cr_expect_arr_eq(&straight, &resumed, sizeof resumed);
    for (int i = 0; i < 2; i++) {
        peer_rows_destroy(&rows[i]);
        peer_params_free(&lists[i]);
    }
    peer_optim_destroy(&first);
    peer_optim_destroy(&second);
    peer_params_free(&from);
    peer_params_free(&to);
    peer_ctx_destroy(&ctx);
}

Test(optim, moments_are_listed_all_or_none)
{
    static struct model model;
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx), state = peer_params_empty(ctx);
    struct peer_rows *rows = model_list(&list, &model);
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    struct peer_param taken = *peer_params_find(&list, "table");
    cr_assert_eq(peer_params_add(&state, "optim.moments.", &taken), PEER_OK);
    cr_expect_eq(peer_optim_state(optim, &state), PEER_ERR_ARGUMENT);
    cr_expect_eq(state.count, 1);
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_params_free(&state);
    peer_ctx_destroy(&ctx);
}

static void expect_refused(struct peer_optim_config config, const char *part_of_text)
{
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_optim *optim = NULL;
    cr_expect_eq(peer_optim_create(&optim, ctx, &list, &config), PEER_ERR_ARGUMENT);
    cr_expect_null(optim);
    cr_expect(strstr(peer_ctx_error(ctx), part_of_text), "\"%s\" is not in \"%s\"", part_of_text,
              peer_ctx_error(ctx));
    peer_ctx_destroy(&ctx);
}

Test(optim, refusals_name_the_numbers)
{
    struct peer_optim_config good = peer_optim_config_default(), bad = good;
    bad.rows = PEER_ROWS_COUNT;
    expect_refused(bad, "kinds 0 and 4");
    bad = good;
    bad.beta2 = 1;
    expect_refused(bad, "beta2 = 1");
    bad = good;
    bad.epsilon = 0;
    expect_refused(bad, "epsilon = 0");
    bad = good;
    bad.clip = NAN;
    expect_refused(bad, "clip = nan");
}

Test(optim, state_of_a_row_is_two_moments)
{
    struct peer_optim_config config = peer_optim_config_default();
    cr_expect_eq(peer_optim_row_bytes(&config, 512, 2), 4096);
    config.rows = PEER_ROWS_SGD;
    cr_expect_eq(peer_optim_row_bytes(&config, 512, 2), 0);
}

/* The list comes from the failing context too. */
static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    static struct model model;
    static struct peer_rows table;
    struct peer_params list = peer_params_empty(ctx);
    struct peer_param dense = {
        .name = "dense", .dims = 1, .shape = {MODEL_A}, .data = model.a, .grad = model.da};
    table.config = (struct peer_rows_config){.rows = MODEL_N, .width = MODEL_D, .entries = 9};
    struct peer_param rows = {.name = "rows",
                              .kind = PEER_PARAM_ROWS,
                              .dims = 2,
                              .shape = {MODEL_N, MODEL_D},
                              .data = model.table,
                              .rows = &table};
    enum peer_status status = peer_params_add(&list, "", &dense);
    if (!status)
        status = peer_params_add(&list, "", &rows);
    if (!status)
        status = peer_optim_create((struct peer_optim **)ret, ctx, &list, config);
    peer_params_free(&list);
    return status;
}

static void destroy(void **optim)
{
    peer_optim_destroy((struct peer_optim **)optim);
}

Test(optim, every_allocation_may_fail)
{
    struct peer_optim_config config = peer_optim_config_default();
    cr_expect_gt(failing_every_allocation(create, destroy, &config), 8);
    peer_optim_destroy(NULL);
    struct peer_optim *none = NULL;
    peer_optim_destroy(&none);
}
