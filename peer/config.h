/* SPDX-License-Identifier: MIT */
/* Internal. What follows from a layer's config alone; configs are struct peer_layer_config. */
#ifndef PEER_PEER_CONFIG_H
#define PEER_PEER_CONFIG_H

#include "peer/layer.h"

extern const struct peer_option peer_layer_options[];

/* As the slot's type has them. */
void peer_layer_default(void *config, int64_t width);
enum peer_status peer_layer_check(struct peer_ctx *ctx, const void *config, int64_t width);
unsigned peer_layer_traits(const void *config);
const char *peer_layer_table(struct peer_table_file_config *ret, const void *config, int64_t width);
void peer_layer_cost(struct peer_cost *ret, const void *config, int64_t width);

/* The retrieval inside a layer of width D, and as a shape wants it. */
struct pkm_retrieval_config peer_layer_retrieval(const struct peer_layer_config *config, int64_t D);
struct pkm_retrieval_config peer_layer_retrieval_for(const struct peer_layer_config *config,
                                                     const struct peer_ffw_shape *shape);

/* The lookup inside a layer. */
struct peer_experts_config peer_layer_experts(const struct peer_layer_config *config);

/* Rows of the expert table: N, or H*N with tables per head. */
int64_t peer_layer_rows(const struct peer_layer_config *config);

#endif
