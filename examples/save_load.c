/* SPDX-License-Identifier: MIT */
/* The weights of one layer, alone, to a file and back. The file is safetensors: any program reads
 * it, and the layer reads what any program wrote under the same names and shapes. */
#include <peer/peer.h>
#include <stdio.h>
#include <string.h>

enum { D = 32 };

int main(void)
{
    float saved[2 * D], loaded[2 * D]; /* one expert: a row of "experts" */
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *layer = NULL;
    struct peer_layer_config config = peer_layer_config_default(D);
    struct peer_ffw_shape shape = {.width = D, .tokens = 1, .tokens_per_step = 1};
    if (peer_ctx_create(&ctx, NULL) != PEER_OK)
        return 1;
    struct peer_params list = peer_params_empty(ctx);
    enum peer_status status = peer_layer_create(&layer, ctx, &config, &shape);
    if (status == PEER_OK)
        status = peer_ffw_params(layer, &list, "");
    peer_params_init(&list, 1);
    if (status == PEER_OK)
        status = peer_params_save(&list, "layer.safetensors", NULL, NULL);
    if (status == PEER_OK)
        status = peer_param_get(saved, &list, "experts", 77, 1);
    peer_params_init(&list, 2); /* other weights */
    if (status == PEER_OK)
        status = peer_params_load(&list, "layer.safetensors", NULL, NULL);
    if (status == PEER_OK)
        status = peer_param_get(loaded, &list, "experts", 77, 1);
    if (status != PEER_OK)
        fprintf(stderr, "save_load: %s\n", peer_ctx_error(ctx));
    else
        printf("%lld entries; expert 77 is %s\n", (long long)list.count,
               memcmp(saved, loaded, sizeof saved) ? "another" : "the same");
    peer_params_free(&list);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
    return status != PEER_OK;
}
