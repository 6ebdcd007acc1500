/* SPDX-License-Identifier: MIT */
/* A PEER layer of 1024 experts learns y_i = sin(2 x_i) + x_i x_{i+1} / 2 from random batches. */
#include <math.h>
#include <peer/peer.h>
#include <stdio.h>

enum { D = 8, T = 128, STEPS = 600 };

/* A batch: x [T, D] normal, dy [T, D] the gradient of the mean square error, which is returned. */
static double error_of(const float *y, const float *x, float *dy)
{
    double sum = 0;
    for (int i = 0; i < T * D; i++) {
        float target = sinf(2 * x[i]) + x[i] * x[i - i % D + (i + 1) % D] / 2;
        dy[i] = 2 * (y[i] - target) / (T * D);
        sum += (double)(y[i] - target) * (double)(y[i] - target);
    }
    return sum / (T * D);
}

int main(void)
{
    static float x[T * D], y[T * D], dx[T * D], dy[T * D];
    struct peer_ctx *ctx = NULL;
    if (peer_ctx_create(&ctx, NULL) != PEER_OK)
        return 1;
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = 1024;
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    struct peer_optim_config optim_config = peer_optim_config_default();
    optim_config.weight_decay = 0;
    struct peer_ffw *layer = NULL;
    struct peer_optim *optim = NULL;
    struct peer_params params = peer_params_empty(ctx);
    enum peer_status status = peer_layer_create(&layer, ctx, &config, &shape);
    if (status == PEER_OK)
        status = peer_ffw_params(layer, &params, "");
    if (status == PEER_OK)
        status = peer_optim_create(&optim, ctx, &params, &optim_config);
    if (status == PEER_OK)
        peer_params_init(&params, 1);
    else
        fprintf(stderr, "%s\n", peer_ctx_error(ctx));
    for (int step = 0; status == PEER_OK && step <= STEPS; step++) {
        peer_fill_normal_from(x, (int64_t)step * T * D, T * D, 0, 1, 1, peer_stream("x"));
        peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_TRAIN);
        double error = error_of(y, x, dy);
        peer_ffw_backward(layer, dx, dy, x, T);
        peer_optim_step(optim, 0.01f);
        if (step % 100 == 0)
            printf("step %3d  mean square error %.4f\n", step, error);
    }
    peer_optim_destroy(&optim);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
    return status != PEER_OK;
}
