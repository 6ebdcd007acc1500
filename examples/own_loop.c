/* SPDX-License-Identifier: MIT */
/* A PEER layer between two matrices of one's own, in one's own training loop with one's own
 * optimizer: x [T, IN] -> A -> PEER -> B -> one value. Gradients of dense entries are arrays; the
 * table's come row by row, for the rows that the step touched. The optimizer here is Adagrad, with
 * one accumulator per value for dense entries and one per row for the table. */
#include <math.h>
#include <peer/peer.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN = 4, D = 16, T = 128, STEPS = 400, ENTRIES = 16 };

static const float rate = 0.05f;

struct model {
    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct peer_params params;
    float *sums[ENTRIES]; /* of squared gradients, per entry of `params` */
    float *row;           /* the gradient of one row */

    float a[D * IN], da[D * IN], sum_a[D * IN]; /* [D, IN] */
    float b[D], db[D], sum_b[D];                /* [D] */
    float h[T * D], dh[T * D], z[T * D], dz[T * D];
};

static void adagrad(float *w, const float *g, float *sum, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        sum[i] += g[i] * g[i];
        w[i] -= rate * g[i] / (sqrtf(sum[i]) + 1e-8f);
    }
}

/* Row-wise Adagrad: the row's mean square is its accumulator. */
static void adagrad_rows(const struct peer_param *table, float *g, float *sum)
{
    int64_t width = table->shape[1];
    peer_rows_group(table->rows);
    for (int64_t i = 0; i < table->rows->touched; i++) {
        int64_t id = table->rows->ids[i];
        float square = 0;
        peer_rows_gradient(g, table->rows, i);
        for (int64_t j = 0; j < width; j++)
            square += g[j] * g[j];
        sum[id] += square / (float)width;
        for (int64_t j = 0; j < width; j++)
            table->data[id * width + j] -= rate * g[j] / (sqrtf(sum[id]) + 1e-8f);
    }
}

static enum peer_status create(struct model *m)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = 64 * 64;
    config.heads = 4;
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    enum peer_status status = peer_layer_create(&m->layer, m->ctx, &config, &shape);
    if (status == PEER_OK)
        status = peer_ffw_params(m->layer, &m->params, "peer.");
    if (status != PEER_OK)
        return status;
    if (m->params.count > ENTRIES)
        return peer_fail(m->ctx, PEER_ERR_ARGUMENT, "create: %lld entries, at most %d",
                         (long long)m->params.count, (int)ENTRIES);
    peer_params_init(&m->params, 3);
    peer_fill_normal(m->a, D * IN, 0, 1, 3, peer_stream("a"));
    peer_fill_normal(m->b, D, 0, 0.1f, 3, peer_stream("b"));
    for (int64_t i = 0; i < m->params.count; i++) {
        const struct peer_param *param = &m->params.items[i];
        bool rows = param->kind == PEER_PARAM_ROWS;
        if (rows && !m->row)
            m->row = calloc((size_t)param->shape[1], sizeof *m->row);
        m->sums[i] =
            calloc((size_t)(rows ? param->shape[0] : peer_param_size(param)), sizeof *m->sums[i]);
        if (!m->sums[i] || (rows && !m->row))
            return peer_fail(m->ctx, PEER_ERR_MEMORY, "create: out of memory");
    }
    return PEER_OK;
}

static void destroy(struct model *m)
{
    for (int i = 0; i < ENTRIES; i++)
        free(m->sums[i]);
    free(m->row);
    peer_params_free(&m->params);
    peer_ffw_destroy(&m->layer);
    peer_ctx_destroy(&m->ctx);
}

/* One step on x [T, IN], target [T]; returns the mean square error. */
static double train(struct model *m, const float *x, const float *target)
{
    double error = 0;
    for (int i = 0; i < D * IN; i++)
        m->da[i] = 0;
    for (int i = 0; i < D; i++)
        m->db[i] = 0;

    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) {
            m->h[t * D + i] = 0;
            for (int j = 0; j < IN; j++)
                m->h[t * D + i] += m->a[i * IN + j] * x[t * IN + j];
        }
    peer_ffw_forward(m->layer, m->z, m->h, NULL, T, PEER_MODE_TRAIN);
    for (int t = 0; t < T; t++) {
        float y = 0;
        for (int i = 0; i < D; i++)
            y += m->b[i] * m->z[t * D + i];
        float difference = y - target[t], dy = 2 * difference / T;
        error += (double)difference * (double)difference / T;
        for (int i = 0; i < D; i++) {
            m->db[i] += dy * m->z[t * D + i];
            m->dz[t * D + i] = dy * m->b[i];
            m->dh[t * D + i] = 0; /* backward adds */
        }
    }
    peer_ffw_backward(m->layer, m->dh, m->dz, m->h, T);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++)
            for (int j = 0; j < IN; j++)
                m->da[i * IN + j] += m->dh[t * D + i] * x[t * IN + j];

    adagrad(m->a, m->da, m->sum_a, D * IN);
    adagrad(m->b, m->db, m->sum_b, D);
    for (int64_t i = 0; i < m->params.count; i++) {
        const struct peer_param *param = &m->params.items[i];
        if (param->kind == PEER_PARAM_DENSE)
            adagrad(param->data, peer_param_grad(param), m->sums[i], peer_param_size(param));
        else if (param->kind == PEER_PARAM_ROWS)
            adagrad_rows(param, m->row, m->sums[i]);
    }
    return error;
}

static void run(struct model *m)
{
    static float x[T * IN], target[T];
    const struct peer_param *table = peer_params_find(&m->params, "peer.experts");
    for (int step = 0; step <= STEPS; step++) {
        peer_fill_normal_from(x, (int64_t)step * T * IN, T * IN, 0, 1, 3, peer_stream("x"));
        for (int t = 0; t < T; t++)
            target[t] = tanhf(x[t * IN] * x[t * IN + 1]) + sinf(x[t * IN + 2] - x[t * IN + 3]);
        double error = train(m, x, target);
        if (step % 100 == 0)
            printf("step %3d  mean square error %.4f  rows touched %lld of %lld\n", step, error,
                   (long long)table->rows->touched, (long long)table->shape[0]);
        peer_params_zero_grad(&m->params);
    }
}

int main(void)
{
    static struct model m;
    if (peer_ctx_create(&m.ctx, NULL) != PEER_OK)
        return 1;
    m.params = peer_params_empty(m.ctx);
    enum peer_status status = create(&m);
    if (status == PEER_OK)
        run(&m);
    else
        fprintf(stderr, "%s\n", peer_ctx_error(m.ctx));
    destroy(&m);
    return status != PEER_OK;
}
