/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lm/checkpoint.h"
#include "lm/checkpoint_layout.h"
#include "lm/json.h"
#include "nn/replace.h"

static json_t *describe_tensor(const struct peer_param *param, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < param->dims; i++)
        json_array_append_new(shape, json_integer(param->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                     peer_type_names[param->data ? param->type : PEER_TYPE_BF16], "shape", shape,
                     "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + peer_param_bytes(param)));
}

static void put_digits(char *at, unsigned long crc)
{
    char digits[LM_CHECKPOINT_DIGITS + 1];
    lm_checkpoint_digits(digits, crc);
    memcpy(at, digits, LM_CHECKPOINT_DIGITS);
}

/* The header as text, malloc()ed, padded, checksums in place; NULL without memory. */
static char *make_header(size_t *size, const struct peer_params *params, json_t *metadata)
{
    lm_json_watch();
    json_t *strings = json_pack("{s:s, s:s}", LM_CHECKPOINT_CRC, "00000000",
                                LM_CHECKPOINT_HEADER_CRC, "00000000");
    json_t *header = json_pack("{s:o}", LM_CHECKPOINT_METADATA, strings);
    bool whole = header && (!metadata || !json_object_update_missing(strings, metadata));
    size_t begin = 0;
    unsigned long crc = 0;
    for (int64_t i = 0; whole && i < params->count; i++) {
        const struct peer_param *param = &params->items[i];
        whole = !json_object_set_new(header, param->name, describe_tensor(param, begin));
        begin += peer_param_bytes(param);
        crc = crc32_z(crc, peer_param_memory(param), peer_param_bytes(param));
    }
    char *text = whole ? lm_json_text(header, JSON_COMPACT) : NULL;
    json_decref(header);
    size_t length = text ? strlen(text) : 0;
    *size = (length + LM_CHECKPOINT_ALIGN - 1) / LM_CHECKPOINT_ALIGN * LM_CHECKPOINT_ALIGN;
    char *padded = text ? realloc(text, *size) : NULL;
    if (!padded) {
        free(text);
        return NULL;
    }
    memset(padded + length, ' ', *size - length);
    put_digits(padded + LM_CHECKPOINT_CRC_AT, crc);
    put_digits(padded + LM_CHECKPOINT_HEADER_CRC_AT, crc32_z(0, (const Bytef *)padded, *size));
    return padded;
}

static enum peer_status write_contents(const struct peer_replace *replace, const char *header,
                                       size_t size, const struct peer_params *params)
{
    uint64_t length = size;
    enum peer_status status = peer_replace_write(replace, &length, sizeof length);
    if (!status)
        status = peer_replace_write(replace, header, size);
    for (int64_t i = 0; !status && i < params->count; i++)
        status = peer_replace_write(replace, peer_param_memory(&params->items[i]),
                                    peer_param_bytes(&params->items[i]));
    return status;
}

/* An int8 table is made from a checkpoint, not saved as one; a mapped one has its own file. */
static enum peer_status check_tables(struct peer_ctx *ctx, const struct peer_params *params)
{
    for (int64_t i = 0; i < params->count; i++) {
        const struct peer_table *table = params->items[i].table;
        if (table && (table->file || table->type == PEER_TABLE_INT8))
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "lm_checkpoint_save: %s is %s, expected f32 or bf16 in memory",
                             params->items[i].name,
                             table->file ? "mapped" : peer_table_names[table->type]);
    }
    return PEER_OK;
}

static enum peer_status check_metadata(struct peer_ctx *ctx, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata))
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_checkpoint_save: metadata is no object");
    json_object_foreach (metadata, key, value)
        if (!json_is_string(value))
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "lm_checkpoint_save: metadata: %s is not a string", key);
    return PEER_OK;
}

enum peer_status lm_checkpoint_save(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params, json_t *metadata)
{
    struct peer_replace replace;
    enum peer_status status = check_metadata(ctx, metadata);
    if (!status)
        status = check_tables(ctx, params);
    if (status)
        return status;
    size_t size = 0;
    char *header = make_header(&size, params, metadata);
    if (!header)
        return peer_fail(ctx, PEER_ERR_MEMORY, "lm_checkpoint_save: no memory for the header");
    status = peer_replace_begin(&replace, ctx, "lm_checkpoint_save", path);
    if (!status)
        status = peer_replace_end(&replace, write_contents(&replace, header, size, params));
    free(header);
    return status;
}
