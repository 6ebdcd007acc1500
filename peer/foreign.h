/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* The names and shapes that other modules give to the weights of a PEER or PKM layer, as maps for
 * peer_params_save() and peer_params_load().
 *
 *   split       this library's own, but u, v and g of an expert are tensors of their own:
 *               "experts.u", "experts.v", "experts.g" [N, D]
 *   lucidrains  PEER-pytorch: "to_queries.0.weight", "keys" [H, n, 2, K/2],
 *               "weight_down_embed.weight", "weight_up_embed.weight" [N, D]; product-key-memory:
 *               "to_queries.weight", "keys", "values.weight" [N, D], "norm.fn.weight" and the
 *               others of a batch norm. Queries are in the order half, head, value
 *   meta        facebookresearch/memory: "query_proj.query_mlps.0.weight", a batch norm
 *               "query_proj.query_mlps.1.weight", ..., "keys" [2 H n, K/2], "values.weight",
 *               gated "swilu_projection.weight", "value_proj.weight" [D, D]; PEER
 *               "values_u.weight", "values_v.weight"
 *   xlm         the memory of facebookresearch/XLM
 *   notebook    its notebook PKM-layer: "query_proj.0.weight", a batch norm "query_proj.1.weight",
 *               ..., "keys" [H, 2, n, K/2], "values.weight"
 *
 * Those modules have keys per head: shared keys are saved as often as there are heads, and not
 * loaded. What they do not have keeps its own name ("query_norm.gain" of a PEER layer): a module
 * takes such a file without it. Biases of theirs have no place here. */
/* clang-format on */
#ifndef PEER_PEER_FOREIGN_H
#define PEER_PEER_FOREIGN_H

#include "nn/params/names.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_foreign {
    PEER_FOREIGN_SPLIT = 0,
    PEER_FOREIGN_LUCIDRAINS,
    PEER_FOREIGN_META,
    PEER_FOREIGN_XLM,
    PEER_FOREIGN_NOTEBOOK,
    PEER_FOREIGN_COUNT
};

/* "split", "lucidrains", "meta", "xlm", "notebook", NULL. */
PEER_API extern const char *const peer_foreign_names[];

/* Appends the names of one layer: that whose entries in `list` begin with `prefix`, the tensors
 * with `tensor_prefix` ("" = nothing). Of another layer than PEER and PKM, and of entries that the
 * module does not have, the prefix alone changes. Errors: PEER_ERR_ARGUMENT where the list has no
 * entry of that prefix, the layer is none that the module can be (GLU experts in all but split;
 * PEER in xlm and notebook), or a name is too long; PEER_ERR_MEMORY. The map may then have some of
 * the names. */
PEER_API enum peer_status peer_foreign_map(struct peer_name_map *map,
                                           const struct peer_params *list, const char *prefix,
                                           const char *tensor_prefix, enum peer_foreign form);

#ifdef __cplusplus
}
#endif

#endif
