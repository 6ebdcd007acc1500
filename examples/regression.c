/* SPDX-License-Identifier: MIT */
/* A PEER layer of 1024 experts learns y_i = sin(2 x_i) + x_i x_{i+1} / 2 from random batches. */
#include <math.h>
#include <peer/peer.h>
#include <stdio.h>

enum { D = 8, T = 128, STEPS = 600 };

int main(void)
{
    static float x[T * D], y[T * D], dx[T * D], dy[T * D];
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *layer = NULL;
    struct peer_optim *optim = NULL;
    struct peer_layer_config config = peer_layer_config_default(D);
    struct peer_ffw_shape shape = {.width = D, .tokens = T};
    struct peer_optim_config adam = peer_optim_config_default();
    config.experts = 1024;
    adam.weight_decay = 0;
    if (peer_ctx_create(&ctx, NULL))
        return 1;
    struct peer_params params = peer_params_empty(ctx);
    if (peer_layer_create(&layer, ctx, &config, &shape) || peer_ffw_params(layer, &params, "") ||
        peer_optim_create(&optim, ctx, &params, &adam))
        return fprintf(stderr, "%s\n", peer_ctx_error(ctx)), 1;
    peer_params_init(&params, 1);
    for (int step = 0; step <= STEPS; step++) {
        double sum = 0;
        peer_fill_normal_from(x, (int64_t)step * T * D, T * D, 0, 1, 1, peer_stream("x"));
        peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_TRAIN);
        for (int i = 0; i < T * D; i++) {
            float miss = y[i] - sinf(2 * x[i]) - x[i] * x[i - i % D + (i + 1) % D] / 2;
            dy[i] = 2 * miss / (T * D); /* of the mean square error */
            sum += (double)miss * (double)miss;
        }
        peer_ffw_backward(layer, dx, dy, x, T);
        peer_optim_step(optim, 0.01f);
        if (step % 100 == 0)
            printf("step %3d  mean square error %.4f\n", step, sum / (T * D));
    }
    peer_optim_destroy(&optim);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}
