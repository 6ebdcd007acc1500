/* SPDX-License-Identifier: MIT */
/* Internal. What follows from the config of a PKM layer before there is a layer. */
#ifndef PEER_PKM_CONFIG_H
#define PEER_PKM_CONFIG_H

#include "pkm/layer.h"

/* The retrieval inside a layer of width D, and as a shape wants it. */
struct pkm_retrieval_config pkm_layer_retrieval(const struct pkm_config *config, int64_t D);
struct pkm_retrieval_config pkm_layer_retrieval_for(const struct pkm_config *config,
                                                    const struct peer_ffw_shape *shape);

enum peer_status pkm_layer_check(struct peer_ctx *ctx, const struct pkm_config *config, int64_t D);

/* What the table of values is, whether it lies in a file or not; returns its name. */
const char *pkm_layer_table(struct peer_table_file_config *ret, const struct pkm_config *config,
                            int64_t D);

/* What pkm_layer_create() refuses of a shape, for a config that is right. */
enum peer_status pkm_layer_check_shape(struct peer_ctx *ctx, const struct pkm_config *config,
                                       const struct peer_ffw_shape *shape);

/* Bytes that create allocates in a context of one thread; each further thread adds
 * pkm_retrieval_thread_memory(). SIZE_MAX on overflow. */
size_t pkm_layer_memory(const struct pkm_config *config, const struct peer_ffw_shape *shape);

/* What the last forward pass retrieved. */
struct peer_routing pkm_layer_routing(const struct pkm_layer *layer);

#endif
