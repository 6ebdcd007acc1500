/* SPDX-License-Identifier: MIT */
/* The weights of one layer, alone, to a file and back. The file is safetensors: any program reads
 * it, and the layer reads what any program wrote under the same names and shapes. */
#include <peer/peer.h>
#include <stdio.h>

enum { D = 32, T = 4 };

/* A layer and the list of its entries, with drawn weights. */
static enum peer_status make(struct peer_layer **layer, struct peer_params *list,
                             struct peer_ctx *ctx, uint64_t seed)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    enum peer_status status = peer_layer_create(layer, ctx, &config, &shape);
    if (status == PEER_OK)
        status = peer_layer_params(*layer, list, "");
    peer_params_init(list, seed);
    return status;
}

int main(void)
{
    static float x[T * D], y[T * D], again[T * D];
    struct peer_ctx *ctx = NULL;
    struct peer_layer *trained = NULL, *loaded = NULL;
    if (peer_ctx_create(&ctx, NULL) != PEER_OK)
        return 1;
    struct peer_params from = peer_params_empty(ctx), to = peer_params_empty(ctx);
    enum peer_status status = make(&trained, &from, ctx, 1);
    if (status == PEER_OK)
        status = make(&loaded, &to, ctx, 2);
    if (status == PEER_OK)
        status = peer_params_save(&from, "layer.safetensors", NULL, NULL);
    if (status == PEER_OK)
        status = peer_params_load(&to, "layer.safetensors", NULL, NULL);
    if (status == PEER_OK) {
        int64_t differ = 0;
        peer_fill_normal(x, T * D, 0, 1, 3, peer_stream("x"));
        peer_layer_forward(trained, y, x, NULL, T, PEER_MODE_EVAL);
        peer_layer_forward(loaded, again, x, NULL, T, PEER_MODE_EVAL);
        for (int i = 0; i < T * D; i++)
            differ += y[i] != again[i];
        printf("%lld entries saved and loaded; %lld of %d outputs differ\n", (long long)to.count,
               (long long)differ, T * D);
    } else {
        fprintf(stderr, "save_load: %s\n", peer_ctx_error(ctx));
    }
    peer_params_free(&from);
    peer_params_free(&to);
    peer_layer_destroy(&trained);
    peer_layer_destroy(&loaded);
    peer_ctx_destroy(&ctx);
    return status != PEER_OK;
}
