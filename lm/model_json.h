/* SPDX-License-Identifier: MIT */
/* Configs of models and training runs as JSON, for checkpoints and the records of runs:
 *   model  {"vocab": "257", "width": "64", ..., "dense": {...}, "ffw": "peer" or null,
 *           "options": {...}, "sparse_at": [1]}
 *   train  {"steps": "100", ..., "optimizer": "adamw", ...}
 * Fields are those of the tables in lm/options.h and of the FFW types, with values as text, as
 * peer_option_text() writes them, which keeps every bit. On reading, a field that is missing has
 * its default, so that a file outlives new options; an unknown one is an error. */
#ifndef PEER_LM_MODEL_JSON_H
#define PEER_LM_MODEL_JSON_H

#include <jansson.h>

#include "lm/model.h"
#include "lm/train.h"

/* New objects, to be json_decref()ed; NULL where there is no memory. */
json_t *lm_config_json(const struct lm_config *config);
json_t *lm_train_config_json(const struct lm_train_config *config);

/* Reads what they write. The config of the FFW goes to `ffw_config` of `ffw_bytes` bytes, aligned
 * for any type, to which ret->ffw_config points. "vocab", "width", "blocks" must be there. Errors:
 * PEER_ERR_FORMAT naming the field, in a text that begins with `who`; values that do not go
 * together are found by lm_config_check(). *ret is untouched then. */
enum peer_status lm_config_from_json(struct lm_config *ret, void *ffw_config, size_t ffw_bytes,
                                     struct peer_ctx *ctx, const char *who, const json_t *json);
enum peer_status lm_train_config_from_json(struct lm_train_config *ret, struct peer_ctx *ctx,
                                           const char *who, const json_t *json);

/* The first field in which two such objects differ, as "dense.hidden = 64, here 32", written to
 * `text`; false where there is none. */
bool lm_json_difference(char *text, size_t size, const json_t *here, const json_t *there);

#endif
