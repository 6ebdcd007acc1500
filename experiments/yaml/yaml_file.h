/* SPDX-License-Identifier: MIT */
/* YAML configuration files with checked fields. Every complaint reads
 *     sweep.yaml:12:9: train.lr: expected a number from 0 to 1, got "fast"
 * Reading is by libyaml; what a field may hold is said by tables of struct peer_option. */
#ifndef PEER_EXPERIMENTS_YAML_FILE_H
#define PEER_EXPERIMENTS_YAML_FILE_H

#include "nn/option.h"

struct lab_yaml;      /* a parsed file */
struct lab_yaml_node; /* a place in it; owned by the file */

/* Errors: PEER_ERR_IO; PEER_ERR_MEMORY; PEER_ERR_FORMAT with line and column for what is not YAML,
 * for a document that is not a mapping, for a second document, for aliases, for a key given twice,
 * for a NUL in a text, and for files beyond any use: over 1 MiB, or 1000 fields in a mapping. */
enum peer_status lab_yaml_open(struct lab_yaml **ret, struct peer_ctx *ctx, const char *path);
/* The same of a text in memory; `path` names it in messages. */
enum peer_status lab_yaml_parse(struct lab_yaml **ret, struct peer_ctx *ctx, const char *path,
                                const char *text);
void lab_yaml_close(struct lab_yaml **yaml);

/* The file's text, NUL-terminated; owned by the file. */
const char *lab_yaml_text(const struct lab_yaml *yaml);

/* The path of the file that holds the node, as lab_yaml_open() was given it. */
const char *lab_yaml_path(const struct lab_yaml_node *node);

const struct lab_yaml_node *lab_yaml_root(const struct lab_yaml *yaml);

/* The value of `key` in a mapping, or NULL. */
const struct lab_yaml_node *lab_yaml_get(const struct lab_yaml_node *mapping, const char *key);

/* Fields of a mapping: count (-1 if the node is no mapping) and the name of field i. */
int64_t lab_yaml_fields(const struct lab_yaml_node *mapping);
const struct lab_yaml_node *lab_yaml_key(const struct lab_yaml_node *mapping, int64_t i);

/* Items of a sequence: count (-1 if the node is no sequence) and item i. */
int64_t lab_yaml_count(const struct lab_yaml_node *node);
const struct lab_yaml_node *lab_yaml_item(const struct lab_yaml_node *sequence, int64_t i);

/* A scalar's text, or NULL if the node is none. */
const char *lab_yaml_scalar(const struct lab_yaml_node *node);

/* Records "file:line:column: field: expected WHAT, got VALUE" and returns PEER_ERR_FORMAT. */
enum peer_status lab_yaml_expected(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                   const char *what);

/* Records "file:line:column: field: TEXT". */
enum peer_status lab_yaml_complain(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                   const char *text);

/* Gives the reason that a check recorded, which names no place, the place of `node`. A status other
 * than PEER_ERR_ARGUMENT is returned as it is. */
enum peer_status lab_yaml_blame(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                enum peer_status status);

/* Checks that a mapping has only keys of `keys` (NULL-terminated) or of `options` (may be NULL);
 * otherwise the complaint names the nearest known key. */
enum peer_status lab_yaml_keys(struct peer_ctx *ctx, const struct lab_yaml_node *mapping,
                               const char *const *keys, const struct peer_option *options);

/* Sets the fields of `config` that the mapping names from the table; other keys are not looked at.
 * A NULL mapping sets nothing. */
enum peer_status lab_yaml_options(struct peer_ctx *ctx, void *config,
                                  const struct lab_yaml_node *mapping,
                                  const struct peer_option *options);

/* A text of 1 ... size-1 bytes. */
enum peer_status lab_yaml_string(struct peer_ctx *ctx, char *ret, size_t size,
                                 const struct lab_yaml_node *node);

/* The same of a text that is shown: without control characters, and others that are none to be seen
 * and change what stands beside them. The complaint says which, and at which byte. */
enum peer_status lab_yaml_name(struct peer_ctx *ctx, char *ret, size_t size,
                               const struct lab_yaml_node *node);

/* Numbers: a scalar within [min, max], such as 4e11 or 1_000; integers may be written so too where
 * the value is whole, up to 9e15. */
enum peer_status lab_yaml_number(struct peer_ctx *ctx, double *ret,
                                 const struct lab_yaml_node *node, double min, double max);
enum peer_status lab_yaml_integer(struct peer_ctx *ctx, int64_t *ret,
                                  const struct lab_yaml_node *node, int64_t min, int64_t max);

#endif
