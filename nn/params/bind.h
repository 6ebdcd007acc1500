/* SPDX-License-Identifier: MIT */
/* Weights in the caller's memory: an array of another library, a mapped file, a shared segment. */
#ifndef PEER_NN_BIND_H
#define PEER_NN_BIND_H

#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From now on the layer reads and trains the entry called `name` in `memory`, as it is: nothing is
 * copied. `memory` holds at least peer_param_bytes(), is aligned to one value, and must outlive the
 * layer; what the layer had before is no longer used. To be called before an optimizer is made, and
 * before another list of the layer's entries. Not between a training pass and its backward pass.
 * Errors: PEER_ERR_ARGUMENT with name and numbers, after which nothing has changed: no such entry;
 * bound before; too small; not aligned; an int8 or mapped table.
 * peer_params_init() draws bound entries too. */
PEER_API enum peer_status peer_params_bind(struct peer_params *list, const char *name, void *memory,
                                           size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
