/* SPDX-License-Identifier: MIT */
/* Internal. What follows from the config of a PKM layer, struct pkm_config, alone. */
#ifndef PEER_PKM_CONFIG_H
#define PEER_PKM_CONFIG_H

#include "pkm/layer.h"

extern const struct peer_option pkm_layer_options[];

/* As the slot's type has them. */
void pkm_layer_default(void *config, int64_t width);
enum peer_status pkm_layer_check(struct peer_ctx *ctx, const void *config, int64_t width);
unsigned pkm_layer_traits(const void *config);
const char *pkm_layer_table(struct peer_table_file_config *ret, const void *config, int64_t width);
void pkm_layer_cost(struct peer_cost *ret, const void *config, int64_t width);

/* The retrieval inside a layer of width D, and as a shape wants it. */
struct pkm_retrieval_config pkm_layer_retrieval(const struct pkm_config *config, int64_t D);
struct pkm_retrieval_config pkm_layer_retrieval_for(const struct pkm_config *config,
                                                    const struct peer_ffw_shape *shape);

/* The lookup inside a layer. */
struct pkm_values_config pkm_layer_values(const struct pkm_config *config);

#endif
