/* SPDX-License-Identifier: MIT */
/* A PEER layer in a training loop and an optimizer of one's own: momentum for dense entries, plain
 * SGD for the rows of the experts that a step has touched. */
#include <math.h>
#include <peer/peer.h>
#include <stdio.h>
#include <stdlib.h>

enum { D = 8, T = 128, STEPS = 2000 };

static const float rate = 0.02f, kept = 0.9f;

/* velocity [size of the entry]. */
static void step_dense(struct peer_param *param, float *velocity)
{
    const float *grad = peer_param_grad(param);
    for (int64_t i = 0; i < peer_param_size(param); i++) {
        velocity[i] = kept * velocity[i] + grad[i];
        param->data[i] -= rate * velocity[i];
    }
}

/* Of a million rows only those that are touched: their gradients exist nowhere else. */
static void step_rows(struct peer_param *param, float *row)
{
    int64_t width = param->shape[1];
    peer_rows_group(param->rows);
    for (int64_t r = 0; r < param->rows->touched; r++) {
        peer_rows_gradient(row, param->rows, r);
        for (int64_t i = 0; i < width; i++)
            param->data[param->rows->ids[r] * width + i] -= 100 * rate * row[i];
    }
}

int main(void)
{
    static float x[T * D], y[T * D], dx[T * D], dy[T * D], row[2 * D], *velocity[16];
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *layer = NULL;
    struct peer_layer_config config = peer_layer_config_default(D);
    struct peer_ffw_shape shape = {.width = D, .tokens = T};
    config.experts = 1024;
    if (peer_ctx_create(&ctx, NULL))
        return 1;
    struct peer_params params = peer_params_empty(ctx);
    if (peer_layer_create(&layer, ctx, &config, &shape) || peer_ffw_params(layer, &params, ""))
        return fprintf(stderr, "%s\n", peer_ctx_error(ctx)), 1;
    peer_params_init(&params, 1);
    for (int64_t i = 0; i < params.count; i++)
        if (!(velocity[i] = calloc((size_t)peer_param_size(&params.items[i]), sizeof(float))))
            return 1;
    for (int step = 0; step <= STEPS; step++) {
        double sum = 0;
        peer_fill_normal_from(x, (int64_t)step * T * D, T * D, 0, 1, 1, peer_stream("x"));
        peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_TRAIN);
        for (int i = 0; i < T * D; i++) {
            dy[i] = 2 * (y[i] - sinf(2 * x[i])) / T;
            sum += pow((double)dy[i] * T / 2, 2);
        }
        peer_ffw_backward(layer, dx, dy, x, T);
        for (int64_t i = 0; i < params.count; i++)
            if (params.items[i].kind == PEER_PARAM_DENSE)
                step_dense(&params.items[i], velocity[i]);
            else if (params.items[i].kind == PEER_PARAM_ROWS)
                step_rows(&params.items[i], row);
        peer_params_zero_grad(&params);
        if (step % 500 == 0)
            printf("step %4d  mean square error %.4f\n", step, sum / (T * D));
    }
    for (int64_t i = 0; i < params.count; i++)
        free(velocity[i]);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}
