/* SPDX-License-Identifier: MIT */
/* Weights of one's own in a PEER layer, a forward pass, and which experts served each token. */
#include <peer/peer.h>
#include <stdio.h>

enum { D = 16, N = 100, T = 2 };

int main(void)
{
    static float experts[N][2][D], x[T * D], y[T * D]; /* u and v of each expert */
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *layer = NULL;
    struct peer_layer_config config = peer_layer_config_default(D);
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .forward_only = true};
    struct peer_routing routing;
    config.experts = N;
    config.heads = 2;
    config.kept = 3;
    if (peer_ctx_create(&ctx, NULL))
        return 1;
    struct peer_params params = peer_params_empty(ctx);
    if (peer_layer_create(&layer, ctx, &config, &shape) || peer_ffw_params(layer, &params, "") ||
        peer_params_bind(&params, "experts", experts, sizeof experts))
        return fprintf(stderr, "%s\n", peer_ctx_error(ctx)), 1;
    peer_params_init(&params, 1); /* draws all, the bound ones too; then come one's own */
    peer_fill_normal(&experts[0][0][0], N * 2 * D, 0, 0.25f, 2, peer_stream("experts"));
    peer_fill_normal(x, T * D, 0, 1, 1, peer_stream("x"));
    peer_ffw_forward(layer, y, x, NULL, T, PEER_MODE_EVAL);
    peer_ffw_routing(layer, &routing);
    for (int64_t i = 0, k = routing.kept, H = routing.heads; i < T * H * k; i++)
        printf("token %d, head %d: expert %2d, gate %.3f\n", (int)(i / k / H), (int)(i / k % H),
               (int)routing.ids[i], (double)routing.gates[i]);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}
