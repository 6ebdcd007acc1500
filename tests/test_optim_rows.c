/* SPDX-License-Identifier: MIT */
/* Optimizers of tables: deferred AdamW against dense AdamW, Adagrad, moments in bfloat16 and
 * second moments by row. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/optim/optim.h"
#include "nn/random.h"
#include "peer/peer.h"
#include "tests/support/optim_case.h"

enum {
    N = 61,
    D = 19,
    MOST = 24,  /* touched rows of a step */
    RARE = 56,  /* rows from here on have one gradient, */
    RARE_AT = 3 /* in this step */
};

/* A table and its optimizer. */
struct run {
    struct peer_ctx *ctx;
    struct peer_params params;
    struct peer_rows *rows;
    struct peer_optim *optim;
    float table[N * D];
};

static void start(struct run *run, const struct peer_optim_config *config, int threads)
{
    run->ctx = optim_case_ctx(threads);
    run->params = peer_params_empty(run->ctx);
    run->rows = optim_case_table(&run->params, "table", run->table, N, D, MOST);
    run->params.items[0].lr_scale = 1.5f;
    run->params.items[0].decay = 0.5f;
    peer_fill_normal(run->table, N * D, 0, 1, 9, 1);
    run->optim = optim_case_create(run->ctx, &run->params, config);
}

static void end(struct run *run)
{
    peer_optim_destroy(&run->optim);
    peer_rows_destroy(&run->rows);
    peer_params_free(&run->params);
    peer_ctx_destroy(&run->ctx);
}

/* Warm-up and half a cosine, as trainers have it. */
static float rate_of(int step, int steps)
{
    double warm = 0.1 * steps;
    return (float)(0.01 * (step < warm ? (step + 1) / warm
                                       : 0.1 + 0.45 * (1 + cos(3.14159 * (step - warm) / steps))));
}

/* Rows of a step: row r with a chance of 1 / (1 + r / 2), so that some are seldom used, the last
 * ones once; and sizes of gradients from 1e-9, below epsilon, to 1. */
static int gradient_of(int32_t ids[MOST], float g[MOST][D], int step)
{
    int touched = 0;
    for (int32_t r = 0; r < N && touched < MOST; r++) {
        bool drawn = !peer_random_below(3, (uint64_t)step, (uint64_t)r, (uint32_t)(1 + r / 2));
        if (r < RARE ? !drawn : step != RARE_AT)
            continue;
        ids[touched] = r;
        peer_fill_normal(g[touched], D, 0, powf(10, -(float)(r % 10)), 4, (uint64_t)(step * N + r));
        touched++;
    }
    return touched;
}

static void take_step(struct run *run, int step, float lr, bool read)
{
    static float g[MOST][D];
    int32_t ids[MOST];
    int touched = gradient_of(ids, g, step);
    if (read)
        peer_rows_catch_up(run->rows, ids, touched);
    for (int i = 0; i < touched; i++)
        optim_case_touch(run->rows, ids[i], 1, g[i]);
    peer_optim_step(run->optim, lr);
}

/* Dense AdamW in double; `bound` adds up what a float implementation may be off by. `size` is the
 * mean of |g| as m is of g: every m, and its error in units of u, is at most 30 times that off. */
struct twin {
    double p[N * D], m[N * D], v[N * D], size[N * D], bound[N * D];
};

static void twin_step(struct twin *t, const struct peer_optim_config *c, int step, double lr)
{
    static double dense[N * D];
    static float g[MOST][D];
    int32_t ids[MOST];
    int touched = gradient_of(ids, g, step);
    double sum = 0, b1 = c->beta1, b2 = c->beta2;
    memset(dense, 0, sizeof dense);
    for (int i = 0; i < touched; i++)
        for (int j = 0; j < D; j++) {
            dense[ids[i] * D + j] = g[i][j];
            sum += (double)g[i][j] * g[i][j];
        }
    double scale = c->clip > 0 && sqrt(sum) > c->clip ? c->clip / sqrt(sum) : 1;
    double decay = 1.5 * lr * 0.5 * c->weight_decay;
    for (int i = 0; i < N * D; i++) {
        double gradient = dense[i] * scale;
        t->m[i] = b1 * t->m[i] + (1 - b1) * gradient;
        t->v[i] = b2 * t->v[i] + (1 - b2) * gradient * gradient;
        t->size[i] = b1 * t->size[i] + (1 - b1) * fabs(gradient);
        double rate = 1.5 * lr / (1 - pow(b1, step + 1));
        double under = sqrt(t->v[i] / (1 - pow(b2, step + 1))) + c->epsilon;
        t->p[i] = t->p[i] * (1 - decay) - rate * t->m[i] / under;
        t->bound[i] += FLT_EPSILON / 2 * (128 * rate * t->size[i] / under + 3 * fabs(t->p[i]));
    }
}

static double worst_of(const struct run *run, const struct twin *twin)
{
    double worst = 0;
    for (int i = 0; i < N * D; i++)
        worst = fmax(worst, fabs(run->table[i] - twin->p[i]) / twin->bound[i]);
    return worst;
}

/* Compares after every `every` steps and at the end. */
static double against_twin(const struct peer_optim_config *config, int steps, int every)
{
    static struct run run;
    static struct twin twin;
    memset(&twin, 0, sizeof twin);
    start(&run, config, 2);
    for (int i = 0; i < N * D; i++)
        twin.p[i] = run.table[i];
    double worst = 0;
    for (int step = 0; step < steps; step++) {
        float lr = rate_of(step, steps);
        twin_step(&twin, config, step, lr);
        take_step(&run, step, lr, true);
        if (step % every == 0 || step == steps - 1) {
            peer_optim_catch_up(run.optim);
            worst = fmax(worst, worst_of(&run, &twin));
        }
    }
    end(&run);
    return worst;
}

static struct peer_optim_config config_of(enum peer_optim_rows rows)
{
    struct peer_optim_config config = peer_optim_config_default();
    config.rows = rows;
    return config;
}

/* Clipping acts in every step (row 0 alone has a norm of sqrt(D)), and many gradients are below
 * epsilon. Lazy AdamW, which lets rows stand still, is far outside of the bound. */
Test(optim_rows, deferred_adamw_is_dense_adamw)
{
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    double worst = against_twin(&config, 600, 97);
    cr_expect_lt(worst, 1, "%g of the bound", worst);
    config.beta2 = 0.999f;
    config.weight_decay = 0;
    worst = against_twin(&config, 300, 97);
    cr_expect_lt(worst, 1, "%g of the bound", worst);
    config = config_of(PEER_ROWS_ADAMW);
    cr_expect_gt(against_twin(&config, 300, 97), 100);
}

/* More steps than the ring holds, for rows that nobody reads. */
Test(optim_rows, rows_catch_up_before_the_ring_forgets)
{
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    double worst = against_twin(&config, 2500, 2500);
    cr_expect_lt(worst, 1, "%g of the bound", worst);
}

/* Reading rows, or all of them, in between changes nothing. */
Test(optim_rows, deferred_adamw_does_not_depend_on_when_rows_are_read)
{
    static struct run often, seldom;
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    const int32_t some[] = {60, -1, 3, 60, 17, 3, 60};
    start(&often, &config, 2);
    start(&seldom, &config, 1);
    for (int step = 0; step < 300; step++) {
        take_step(&often, step, 0.01f, true);
        take_step(&seldom, step, 0.01f, false);
        if (step % 7 == 0)
            peer_rows_catch_up(often.rows, some, sizeof some / sizeof *some);
        if (step % 50 == 49)
            peer_optim_catch_up(often.optim);
    }
    cr_expect_arr_neq(often.table, seldom.table, sizeof often.table);
    peer_optim_catch_up(seldom.optim);
    cr_expect_arr_eq(often.table, seldom.table, sizeof often.table);
    end(&often);
    end(&seldom);
}

/* What the optimizer leaves behind is whole, and its rows are read by others as they are. */
Test(optim_rows, the_end_of_a_deferring_optimizer_catches_up)
{
    static struct run run;
    static float table[N * D];
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    start(&run, &config, 2);
    for (int step = 0; step < 20; step++)
        take_step(&run, step, 0.01f, true);
    memcpy(table, run.table, sizeof table);
    peer_optim_destroy(&run.optim);
    cr_expect_arr_neq(run.table, table, sizeof table);
    cr_expect_null(run.rows->catch_up);
    end(&run);
}

/* Every way to keep state: kinds, moments, second moments. */
static bool case_config(struct peer_optim_config *config, int i)
{
    static const struct {
        enum peer_optim_rows rows;
        enum peer_type moments;
        enum peer_optim_second second;
    } cases[] = {
        {PEER_ROWS_ADAMW, PEER_TYPE_F32, PEER_SECOND_VALUE},
        {PEER_ROWS_ADAMW, PEER_TYPE_F32, PEER_SECOND_ROW},
        {PEER_ROWS_ADAMW, PEER_TYPE_BF16, PEER_SECOND_VALUE},
        {PEER_ROWS_ADAMW, PEER_TYPE_BF16, PEER_SECOND_ROW},
        {PEER_ROWS_DEFERRED_ADAMW, PEER_TYPE_F32, PEER_SECOND_VALUE},
        {PEER_ROWS_DEFERRED_ADAMW, PEER_TYPE_F32, PEER_SECOND_ROW},
        {PEER_ROWS_DEFERRED_ADAMW, PEER_TYPE_BF16, PEER_SECOND_VALUE},
        {PEER_ROWS_DEFERRED_ADAMW, PEER_TYPE_BF16, PEER_SECOND_ROW},
        {PEER_ROWS_ADAGRAD, PEER_TYPE_F32, PEER_SECOND_VALUE},
        {PEER_ROWS_SGD, PEER_TYPE_F32, PEER_SECOND_VALUE},
    };
    if (i >= (int)(sizeof cases / sizeof *cases))
        return false;
    *config = config_of(cases[i].rows);
    config->rows_moments = cases[i].moments;
    config->rows_second = cases[i].second;
    return true;
}

Test(optim_rows, every_kind_has_the_same_bits_for_any_number_of_threads)
{
    static struct run one, more;
    struct peer_optim_config config;
    for (int i = 0; case_config(&config, i); i++)
        for (int threads = 2; threads <= 3; threads++) {
            start(&one, &config, 1);
            start(&more, &config, threads);
            for (int step = 0; step < 30; step++) {
                take_step(&one, step, 0.01f, true);
                take_step(&more, step, 0.01f, true);
            }
            cr_expect_arr_eq(one.table, more.table, sizeof one.table, "case %d", i);
            end(&one);
            end(&more);
        }
}

/* A table of two segments, LEFT columns and the rest, to whose rows several tokens may add. */
enum { LEFT = 12, TOKENS = 40 };

static void start_split(struct run *run, const struct peer_optim_config *config)
{
    struct peer_rows_config rows = {.rows = N,
                                    .width = D,
                                    .tokens = TOKENS,
                                    .entries = TOKENS,
                                    .segments = 2,
                                    .segment = {{0, LEFT, 2}, {LEFT, D - LEFT, 0}}};
    run->ctx = optim_case_ctx(2);
    run->params = peer_params_empty(run->ctx);
    cr_assert_eq(peer_rows_create(&run->rows, run->ctx, &rows), PEER_OK);
    struct peer_param param = {.name = "table",
                               .kind = PEER_PARAM_ROWS,
                               .dims = 2,
                               .shape = {N, D},
                               .data = run->table,
                               .rows = run->rows,
                               .lr_scale = 1,
                               .decay = 1};
    cr_assert_eq(peer_params_add(&run->params, "", &param), PEER_OK);
    peer_fill_normal(run->table, N * D, 0, 1, 9, 1);
    run->optim = optim_case_create(run->ctx, &run->params, config);
}

/* One entry of a row: a coefficient and a vector for each segment. */
static void add_entry(struct peer_rows *rows, int32_t row, float left, float right, const float *g)
{
    struct peer_rows_block block = peer_rows_reserve(rows, 1, 1);
    block.row[0] = row;
    block.coef[0][0] = left;
    block.coef[1][0] = right;
    memcpy(block.source[2], g, LEFT * sizeof *g);
    memcpy(block.source[0], g + LEFT, (D - LEFT) * sizeof *g);
}

/* Rows of one entry and rows of several, and the same gradients as one entry each that is the
 * gradient itself. */
static void add_both_ways(struct peer_rows *parts, struct peer_rows *whole, int step)
{
    float coef[2 * TOKENS], g[D];
    int once = 0;
    peer_fill_normal(coef, 2 * TOKENS, 0, 1, 21, (uint64_t)step);
    for (int t = 0; t < TOKENS; t++) {
        int32_t row = (int32_t)peer_random_below(22, (uint64_t)step, (uint64_t)t, N);
        peer_fill_normal(g, D, 0, 1, 23, (uint64_t)(step * TOKENS + t));
        add_entry(parts, row, coef[2 * t], coef[2 * t + 1], g);
    }
    peer_rows_catch_up(parts, parts->row, TOKENS);
    peer_rows_catch_up(whole, parts->row, TOKENS);
    peer_rows_group(parts);
    for (int64_t i = 0; i < parts->touched; i++) {
        peer_rows_gradient(g, parts, i);
        add_entry(whole, parts->ids[i], 1, 1, g);
        once += parts->first[i + 1] - parts->first[i] == 1;
    }
    cr_expect(once > 5 && once < parts->touched - 5, "%d of %d", once, (int)parts->touched);
}

Test(optim_rows, a_gradient_in_parts_is_the_gradient)
{
    static struct run parts, whole;
    struct peer_optim_config config;
    for (int i = 0; case_config(&config, i); i++) {
        config.clip = 0; /* norms are taken of parts where a gradient is not formed */
        start_split(&parts, &config);
        start_split(&whole, &config);
        for (int step = 0; step < 9; step++) {
            add_both_ways(parts.rows, whole.rows, step);
            peer_optim_step(parts.optim, 0.01f);
            peer_optim_step(whole.optim, 0.01f);
        }
        cr_expect_arr_eq(parts.table, whole.table, sizeof parts.table, "case %d", i);
        end(&parts);
        end(&whole);
    }
}

/* Weights, state and the number of steps are all that there is. */
Test(optim_rows, every_kind_goes_on_from_its_state)
{
    static struct run straight, resumed;
    struct peer_optim_config config;
    for (int i = 0; case_config(&config, i); i++) {
        start(&straight, &config, 1);
        start(&resumed, &config, 2);
        struct peer_params from = peer_params_empty(straight.ctx);
        struct peer_params to = peer_params_empty(resumed.ctx);
        cr_assert_eq(peer_optim_state(straight.optim, &from), PEER_OK);
        cr_assert_eq(peer_optim_state(resumed.optim, &to), PEER_OK);
        for (int step = 0; step < 40; step++)
            take_step(&straight, step, 0.01f, true);
        peer_optim_catch_up(straight.optim);
        memcpy(resumed.table, straight.table, sizeof resumed.table);
        int64_t bytes = 0;
        for (int64_t entry = 0; entry < from.count; entry++) {
            memcpy(to.items[entry].data, from.items[entry].data,
                   peer_param_bytes(&from.items[entry]));
            bytes += (int64_t)peer_param_bytes(&from.items[entry]);
        }
        /* What is not saved is the step of the weights: it is that of the file. */
        bool deferred = config.rows == PEER_ROWS_DEFERRED_ADAMW;
        cr_expect_eq(bytes + (deferred ? 4 * N : 0), N * peer_optim_row_bytes(&config, D, 1));
        peer_optim_set_steps(resumed.optim, peer_optim_steps(straight.optim));
        for (int step = 40; step < 60; step++) {
            take_step(&straight, step, 0.01f, true);
            take_step(&resumed, step, 0.01f, true);
        }
        peer_optim_catch_up(straight.optim);
        peer_optim_catch_up(resumed.optim);
        cr_expect_arr_eq(straight.table, resumed.table, sizeof straight.table, "case %d", i);
        peer_params_free(&from);
        peer_params_free(&to);
        end(&straight);
        end(&resumed);
    }
}

/* Steps that a damaged file could claim. */
Test(optim_rows, moments_of_a_later_step_are_not_believed)
{
    static struct run run;
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    start(&run, &config, 1);
    struct peer_params state = peer_params_empty(run.ctx);
    cr_assert_eq(peer_optim_state(run.optim, &state), PEER_OK);
    int32_t *steps = (int32_t *)(void *)peer_params_find(&state, "optim.step.table")->data;
    steps[0] = INT32_MAX;
    steps[1] = -5;
    peer_optim_set_steps(run.optim, 7);
    cr_expect_eq(steps[0], 7);
    cr_expect_eq(steps[1], 7);
    take_step(&run, 7, 0.01f, true);
    peer_params_free(&state);
    end(&run);
}

/* Two columns, gradients (3, 4) and (0, 5): mean squares 12.5 twice, so that the sum is 12.5 and
 * then 25; decay 1/2 at lr 0.1: 0.95 p - 0.1 g / sqrt(sum). */
Test(optim_rows, adagrad_by_hand)
{
    float p[2] = {1, 2};
    const float g[2][2] = {{3, 4}, {0, 5}};
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_rows *rows = optim_case_table(&list, "table", p, 1, 2, 1);
    struct peer_optim_config config = config_of(PEER_ROWS_ADAGRAD);
    config.weight_decay = 0.5f;
    config.clip = 0;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    double expected[2] = {1, 2};
    for (int step = 0; step < 2; step++) {
        optim_case_touch(rows, 0, 1, g[step]);
        peer_optim_step(optim, 0.1f);
        for (int i = 0; i < 2; i++) {
            expected[i] = 0.95 * expected[i] - 0.1 * g[step][i] / sqrt(12.5 * (step + 1));
            cr_expect_float_eq(p[i], expected[i], 1e-6);
        }
    }
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* Two segments of one and two columns. In the first step m / (1 - b1) = g and v / (1 - b2) is the
 * segment's mean square, 4 and (9 + 25) / 2 = 17. */
Test(optim_rows, a_second_moment_by_row_is_the_mean_of_its_segment)
{
    float p[3] = {1, 1, 1};
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_rows *rows = NULL;
    struct peer_rows_config shape = {.rows = 1,
                                     .width = 3,
                                     .tokens = 1,
                                     .entries = 1,
                                     .segments = 2,
                                     .segment = {{0, 1, 0}, {1, 2, 1}}};
    cr_assert_eq(peer_rows_create(&rows, ctx, &shape), PEER_OK);
    struct peer_param param = {.name = "table",
                               .kind = PEER_PARAM_ROWS,
                               .dims = 2,
                               .shape = {1, 3},
                               .data = p,
                               .rows = rows,
                               .lr_scale = 1,
                               .decay = 1};
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    struct peer_optim_config config = config_of(PEER_ROWS_ADAMW);
    config.rows_second = PEER_SECOND_ROW;
    config.clip = config.weight_decay = 0;
    struct peer_optim *optim = optim_case_create(ctx, &list, &config);
    struct peer_rows_block block = peer_rows_reserve(rows, 1, 1);
    *block.row = 0;
    *block.coef[0] = *block.coef[1] = 1;
    block.source[0][0] = -2;
    block.source[1][0] = 3;
    block.source[1][1] = -5;
    peer_optim_step(optim, 0.1f);
    cr_expect_float_eq(p[0], 1 + 0.1 * 2 / 2, 1e-6);
    cr_expect_float_eq(p[1], 1 - 0.1 * 3 / sqrt(17), 1e-6);
    cr_expect_float_eq(p[2], 1 + 0.1 * 5 / sqrt(17), 1e-6);
    peer_optim_destroy(&optim);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* With beta2 = 0.999, v grows by less than half a unit of bfloat16's last place in most steps. Its
 * expectation is exact; rounding to nearest would stop at about 1/4. */
Test(optim_rows, moments_in_bf16_grow_on_average)
{
    static struct run run;
    struct peer_optim_config config = config_of(PEER_ROWS_ADAMW);
    config.rows_moments = PEER_TYPE_BF16;
    config.beta2 = 0.999f;
    config.clip = 0;
    start(&run, &config, 1);
    struct peer_params state = peer_params_empty(run.ctx);
    cr_assert_eq(peer_optim_state(run.optim, &state), PEER_OK);
    const uint16_t *moments =
        (const uint16_t *)(const void *)peer_params_find(&state, "optim.moments.table")->data;
    float g[D];
    for (int i = 0; i < D; i++)
        g[i] = 1;
    for (int step = 0; step < 2000; step++) {
        for (int32_t row = 0; row < MOST; row++)
            optim_case_touch(run.rows, row, 1, g);
        peer_optim_step(run.optim, 1e-4f);
    }
    double sum = 0;
    for (int row = 0; row < MOST; row++)
        for (int i = 0; i < D; i++) {
            uint32_t bits = (uint32_t)moments[row * 2 * D + D + i] << 16;
            float v;
            memcpy(&v, &bits, sizeof v);
            sum += v;
        }
    double expected = 1 - pow(0.999, 2000);
    cr_expect_float_eq(sum / (MOST * D), expected, 0.01 * expected);
    peer_params_free(&state);
    end(&run);
}

/* A layer's forward pass reads rows that are up to date: catching all up before it makes no
 * difference to what it says. */
static void expect_reads_whole_rows(const struct peer_ffw_type *type, const void *layer_config,
                                    const char *what)
{
    enum { T = 5, WIDTH = 12 };
    struct peer_ctx *ctx = optim_case_ctx(2);
    struct peer_params params = peer_params_empty(ctx);
    struct peer_ffw_shape shape = {.width = WIDTH, .tokens = T, .tokens_per_step = T};
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    float x[T * WIDTH], y[T * WIDTH], again[T * WIDTH], dx[T * WIDTH] = {0}, dy[T * WIDTH];
    struct peer_ffw *layer = NULL;
    cr_assert_eq(peer_ffw_create(&layer, ctx, type, layer_config, &shape), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(peer_ffw_params(layer, &params, ""), PEER_OK);
    peer_params_init(&params, 2);
    struct peer_optim *optim = optim_case_create(ctx, &params, &config);
    for (uint64_t step = 0; step < 12; step++) {
        peer_fill_normal(x, T * WIDTH, 0, 1, step, 1);
        peer_fill_normal(dy, T * WIDTH, 0, 1, step, 2);
        peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_TRAIN);
        peer_ffw_backward(layer, dx, dy, x, T);
        peer_optim_step(optim, 0.01f);
    }
    peer_fill_normal(x, T * WIDTH, 0, 1, 0, 1);
    peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_EVAL);
    peer_optim_catch_up(optim);
    peer_ffw_forward(layer, again, x, NULL, T, PEER_MODE_EVAL);
    cr_expect_arr_eq(y, again, sizeof y, "%s", what);
    peer_optim_destroy(&optim);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}

Test(optim_rows, layers_read_rows_that_have_caught_up)
{
    struct peer_layer_config peer = peer_layer_config_default(12);
    struct pkm_config pkm = pkm_config_default(12);
    peer.experts = pkm.memories = 49;
    peer.heads = pkm.heads = 2;
    peer.kept = pkm.kept = 3;
    peer.query_width = pkm.query_width = 8;
    expect_reads_whole_rows(&peer_ffw_peer, &peer, "peer");
    peer.tables_per_head = true;
    expect_reads_whole_rows(&peer_ffw_peer, &peer, "peer, tables per head");
    expect_reads_whole_rows(&peer_ffw_pkm, &pkm, "pkm");
    pkm.gated = true;
    expect_reads_whole_rows(&peer_ffw_pkm, &pkm, "pkm, gated");
}

static void expect_refused(const struct peer_optim_config *config, int64_t covered,
                           const char *part_of_text)
{
    float data[6] = {0};
    struct peer_ctx *ctx = optim_case_ctx(1);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_optim *optim = NULL;
    struct peer_rows *rows = optim_case_table(&list, "table", data, 2, 3, 1);
    rows->config.segment[0].width = covered;
    cr_expect_eq(peer_optim_create(&optim, ctx, &list, config), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), part_of_text), "%s", peer_ctx_error(ctx));
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

Test(optim_rows, refusals_name_the_numbers)
{
    struct peer_optim_config config = config_of(PEER_ROWS_DEFERRED_ADAMW);
    config.beta2 = 0.8f;
    expect_refused(&config, 3, "beta2 = 0.8");
    config = config_of(PEER_ROWS_ADAMW);
    config.rows_second = PEER_SECOND_ROW;
    expect_refused(&config, 2, "2 of 3 columns");
    config.rows_second = PEER_SECOND_COUNT;
    expect_refused(&config, 3, "rows_second = 2");
    config = config_of(PEER_ROWS_ADAMW);
    config.rows_moments = PEER_TYPE_I32;
    expect_refused(&config, 3, "rows_moments = 2");
}

Test(optim_rows, bytes_of_a_row)
{
    static const int64_t bytes[] = {4096, 2048 + 8, 2048, 1024 + 8, 4104, 2064, 2056, 1040, 4, 0};
    struct peer_optim_config config;
    for (int i = 0; case_config(&config, i); i++)
        cr_expect_eq(peer_optim_row_bytes(&config, 512, 2), bytes[i], "case %d", i);
}
