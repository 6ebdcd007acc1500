/* SPDX-License-Identifier: MIT */
/* Internal. JSON by jansson, whatever memory there is. Where memory ends, jansson's parser goes on
 * with text of which a byte is missing, until it aborts or writes where it must not; and what
 * builds a value may leave a part of it out. So values are read by lm_json_parse() and
 * lm_json_open() alone, which come back as soon as an allocation fails, and what builds or writes a
 * value stands between lm_json_watch() and lm_json_failed(). */
#ifndef PEER_LM_JSON_H
#define PEER_LM_JSON_H

#include <jansson.h>

#include "nn/context.h"

/* Parses text [size], which `name` names in messages; `who` begins them, NULL = nothing does.
 * `flags` are those of json_loadb(). Errors: PEER_ERR_FORMAT with name and line; PEER_ERR_MEMORY.
 */
enum peer_status lm_json_parse(json_t **ret, struct peer_ctx *ctx, const char *who,
                               const char *name, const char *text, size_t size, size_t flags);

/* Reads a file of at most `most` bytes. Errors: PEER_ERR_IO besides; PEER_ERR_FORMAT for a larger
 * one, which names the limit. */
enum peer_status lm_json_open(json_t **ret, struct peer_ctx *ctx, const char *who, const char *path,
                              int64_t most, size_t flags);

/* Forgets the failures of this thread. */
void lm_json_watch(void);

/* As json_dumps(); NULL also where an allocation failed since lm_json_watch(), in `json` or in its
 * text, and where `json` is NULL. free() it. */
char *lm_json_text(const json_t *json, size_t flags);

/* Whether an allocation of jansson's failed in this thread since lm_json_watch(): what was built
 * may lack a part. */
bool lm_json_failed(void);

#endif
