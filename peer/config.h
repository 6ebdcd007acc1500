/* SPDX-License-Identifier: MIT */
/* Internal. What follows from a layer's config alone. */
#ifndef PEER_PEER_CONFIG_H
#define PEER_PEER_CONFIG_H

#include "peer/layer.h"

/* PEER_OK, or PEER_ERR_ARGUMENT with the reason. */
enum peer_status peer_layer_check(struct peer_ctx *ctx, const struct peer_layer_config *config,
                                  int64_t D);

/* The retrieval inside a layer of width D, and as a shape wants it. */
struct pkm_retrieval_config peer_layer_retrieval(const struct peer_layer_config *config, int64_t D);
struct pkm_retrieval_config peer_layer_retrieval_for(const struct peer_layer_config *config,
                                                     const struct peer_ffw_shape *shape);

/* Rows of the expert table: N, or H*N with tables per head. */
int64_t peer_layer_rows(const struct peer_layer_config *config);

/* Vectors of D values in a row: 2 in [u | v], 3 in [g | u | v]. */
int64_t peer_layer_vectors(const struct peer_layer_config *config);

/* What the expert table is, whether it lies in a file or not; returns its name. */
const char *peer_layer_table(struct peer_table_file_config *ret,
                             const struct peer_layer_config *config, int64_t D);

/* What peer_layer_create() refuses of a shape, for a config that is right. */
enum peer_status peer_layer_check_shape(struct peer_ctx *ctx,
                                        const struct peer_layer_config *config,
                                        const struct peer_ffw_shape *shape);

/* Bytes that peer_layer_create() allocates in a context of one thread; each further thread adds
 * pkm_retrieval_thread_memory(). SIZE_MAX on overflow. */
size_t peer_layer_memory(const struct peer_layer_config *config,
                         const struct peer_ffw_shape *shape);

#endif
