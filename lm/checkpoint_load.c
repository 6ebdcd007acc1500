/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lm/checkpoint.h"
#include "lm/checkpoint_layout.h"
#include "lm/json.h"
#include "nn/file.h"
#include "nn/pool.h"
#include "nn/tables/table_lookup.h"

enum { CHUNK = 1 << 16, SHAPE_TEXT = 96 };

/* An open checkpoint. */
struct loading {
    struct peer_ctx *ctx;
    const char *who, *path;
    int file;
    int64_t start, bytes; /* of the tensors in the file */
    json_t *header;
};

static enum peer_status format_error(const struct loading *load, const char *reason)
{
    return peer_fail(load->ctx, PEER_ERR_FORMAT, "%s: %s: %s", load->who, load->path, reason);
}

static enum peer_status read_at(const struct loading *load, void *bytes, int64_t size,
                                int64_t offset)
{
    return peer_file_read(bytes, size, offset, load->ctx, load->file, load->who, load->path);
}

/* The start that all headers share, the digits aside. */
static bool has_start(const char *header, int64_t size)
{
    static const char start[] = LM_CHECKPOINT_START;
    if (size < LM_CHECKPOINT_START_END)
        return false;
    for (int i = 0; i < LM_CHECKPOINT_START_END; i++) {
        bool digit =
            (i >= LM_CHECKPOINT_CRC_AT && i < LM_CHECKPOINT_CRC_AT + LM_CHECKPOINT_DIGITS) ||
            (i >= LM_CHECKPOINT_HEADER_CRC_AT &&
             i < LM_CHECKPOINT_HEADER_CRC_AT + LM_CHECKPOINT_DIGITS);
        if (!digit && header[i] != start[i])
            return false;
    }
    return true;
}

/* Checks the header's own checksum, whose digits become zeros. */
static bool is_whole(char *header, int64_t size)
{
    char *digits = header + LM_CHECKPOINT_HEADER_CRC_AT;
    char stated[LM_CHECKPOINT_DIGITS], computed[LM_CHECKPOINT_DIGITS + 1];
    memcpy(stated, digits, sizeof stated);
    memset(digits, '0', LM_CHECKPOINT_DIGITS);
    lm_checkpoint_digits(computed, crc32_z(0, (const Bytef *)header, (size_t)size));
    return memcmp(stated, computed, sizeof stated) == 0;
}

/* Reads, checks and parses the header of `size` bytes. */
static enum peer_status read_header(struct loading *load, int64_t size)
{
    struct peer_pool pool = {.ctx = load->ctx};
    char *header = peer_pool_alloc(&pool, load->who, 1, size, 1, 1);
    enum peer_status status = header ? read_at(load, header, size, 8) : PEER_ERR_MEMORY;
    if (!status && !has_start(header, size))
        status = format_error(load, "not a checkpoint: its header does not begin as one");
    if (!status && !is_whole(header, size))
        status = format_error(load, "damaged: the header's checksum is another");
    if (!status)
        status = lm_json_parse(&load->header, load->ctx, load->who, load->path, header,
                               (size_t)size, JSON_REJECT_DUPLICATES);
    peer_pool_free(&pool);
    return status;
}

struct span {
    int64_t begin, end;
};

static int compare_spans(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    return a->begin != b->begin ? (a->begin > b->begin) - (a->begin < b->begin)
                                : (a->end > b->end) - (a->end < b->end);
}

/* What a header says of one tensor. */
struct tensor {
    struct span span;
    enum peer_type type; /* PEER_TYPE_COUNT: another */
    int dims;
    int64_t shape[PEER_PARAM_DIMS];
};

static enum peer_type type_of(const char *dtype)
{
    int type = 0;
    while (type < PEER_TYPE_COUNT && (!dtype || strcmp(dtype, peer_type_names[type])))
        type++;
    return (enum peer_type)type;
}

/* False if the entry is not one of whole values of a known type. */
static bool read_tensor(struct tensor *ret, const json_t *tensor)
{
    enum peer_type type = type_of(json_string_value(json_object_get(tensor, "dtype")));
    const json_t *sizes = json_object_get(tensor, "shape");
    const json_t *offsets = json_object_get(tensor, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (type == PEER_TYPE_COUNT || !json_is_array(sizes) || json_array_size(offsets) != 2 ||
        json_array_size(sizes) > PEER_PARAM_DIMS || !json_is_integer(begin) ||
        !json_is_integer(end))
        return false;
    *ret = (struct tensor){.span = {json_integer_value(begin), json_integer_value(end)},
                           .type = type,
                           .dims = (int)json_array_size(sizes)};
    int64_t bytes = (int64_t)peer_type_bytes(type);
    for (int i = 0; i < ret->dims; i++) {
        const json_t *size = json_array_get(sizes, (size_t)i);
        ret->shape[i] = json_integer_value(size);
        if (!json_is_integer(size) || ret->shape[i] < 0 ||
            __builtin_mul_overflow(bytes, ret->shape[i], &bytes))
            return false;
    }
    return ret->span.begin >= 0 && ret->span.end >= ret->span.begin &&
           ret->span.end - ret->span.begin == bytes;
}

/* The tensors must fill the rest of the file, without holes and overlaps. */
static enum peer_status check_layout(const struct loading *load)
{
    struct peer_pool pool = {.ctx = load->ctx};
    int64_t count = 0, next = 0, room = (int64_t)json_object_size(load->header);
    struct span *spans = peer_pool_alloc(&pool, load->who, sizeof *spans, room, 1, 1);
    enum peer_status status = spans ? PEER_OK : PEER_ERR_MEMORY;
    const char *name;
    json_t *entry;
    json_object_foreach (load->header, name, entry) {
        struct tensor tensor = {.type = PEER_TYPE_COUNT};
        if (status || strcmp(name, LM_CHECKPOINT_METADATA) == 0)
            continue;
        if (!read_tensor(&tensor, entry))
            status = peer_fail(load->ctx, PEER_ERR_FORMAT,
                               "%s: %s: %s: expected dtype F32, BF16 or I32, a shape of at most %d "
                               "sizes and data_offsets of as many bytes",
                               load->who, load->path, name, PEER_PARAM_DIMS);
        spans[count++] = tensor.span;
    }
    if (!status)
        qsort(spans, (size_t)count, sizeof *spans, compare_spans);
    for (int64_t i = 0; !status && i < count; next = spans[i++].end)
        if (spans[i].begin != next)
            status = format_error(load, "data_offsets of tensors overlap or leave a hole");
    if (!status && next != load->bytes)
        status = peer_fail(load->ctx, PEER_ERR_FORMAT,
                           "%s: %s: tensors of %lld bytes are described, %lld are there", load->who,
                           load->path, (long long)next, (long long)load->bytes);
    peer_pool_free(&pool);
    return status;
}

static enum peer_status check_metadata(const struct loading *load)
{
    const json_t *metadata = json_object_get(load->header, LM_CHECKPOINT_METADATA);
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)metadata, key, value)
        if (!json_is_string(value))
            return peer_fail(load->ctx, PEER_ERR_FORMAT, "%s: %s: metadata: %s is not a string",
                             load->who, load->path, key);
    return PEER_OK;
}

static enum peer_status open_checkpoint(struct loading *load, struct peer_ctx *ctx, const char *who,
                                        const char *path)
{
    uint64_t size = 0;
    int64_t bytes = 0;
    *load = (struct loading){.ctx = ctx, .who = who, .path = path, .file = -1};
    enum peer_status status = peer_file_open(&load->file, &bytes, ctx, who, path);
    if (status)
        return status;
    if (bytes < (int64_t)sizeof size)
        return format_error(load, "cut: it is shorter than 8 bytes");
    status = read_at(load, &size, sizeof size, 0);
    if (status)
        return status;
    int64_t rest = bytes - (int64_t)sizeof size;
    if (size > LM_CHECKPOINT_MAX_HEADER && (int64_t)size <= rest)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: %s: a header of %" PRIu64 " bytes, expected at most %d", who, path,
                         size, LM_CHECKPOINT_MAX_HEADER);
    if (size > (uint64_t)rest)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: %s: a header of %" PRIu64 " bytes, but %lld follow", who, path, size,
                         (long long)rest);
    load->start = (int64_t)(sizeof size + size);
    load->bytes = rest - (int64_t)size;
    status = read_header(load, (int64_t)size);
    if (!status)
        status = check_metadata(load);
    return status ? status : check_layout(load);
}

static void close_checkpoint(struct loading *load)
{
    if (load->file >= 0)
        close(load->file);
    json_decref(load->header);
}

enum peer_status lm_checkpoint_metadata(json_t **ret, struct peer_ctx *ctx, const char *path)
{
    struct loading load;
    enum peer_status status = open_checkpoint(&load, ctx, "lm_checkpoint_metadata", path);
    if (!status) {
        json_t *metadata = json_object_get(load.header, LM_CHECKPOINT_METADATA);
        json_object_del(metadata, LM_CHECKPOINT_HEADER_CRC);
        *ret = json_incref(metadata);
    }
    close_checkpoint(&load);
    return status;
}

static void shape_text(char text[SHAPE_TEXT], const int64_t *shape, int dims)
{
    int used = snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < dims; i++)
        used += snprintf(text + used, (size_t)(SHAPE_TEXT - used), "%s%lld", i ? ", " : "",
                         (long long)shape[i]);
    snprintf(text + used, (size_t)(SHAPE_TEXT - used), "]");
}

/* Whether the tensor's values can go into the entry: a table takes any floats. */
static bool fits(const struct peer_param *param, enum peer_type type)
{
    if (param->table)
        return type == PEER_TYPE_F32 || type == PEER_TYPE_BF16;
    return type == param->type;
}

/* Finds where the values of `param` are. */
static enum peer_status find_tensor(struct tensor *tensor, const struct loading *load,
                                    const struct peer_param *param)
{
    const json_t *entry = json_object_get(load->header, param->name);
    if (param->table && param->table->file)
        return peer_fail(load->ctx, PEER_ERR_ARGUMENT, "%s: %s is mapped, expected in memory",
                         load->who, param->name);
    if (!entry)
        return peer_fail(load->ctx, PEER_ERR_FORMAT, "%s: %s: there is no tensor %s", load->who,
                         load->path, param->name);
    bool whole = read_tensor(tensor, entry); /* as check_layout() made sure */
    if (whole && fits(param, tensor->type) && tensor->dims == param->dims &&
        !memcmp(tensor->shape, param->shape, (size_t)tensor->dims * sizeof *tensor->shape))
        return PEER_OK;
    char got[SHAPE_TEXT], expected[SHAPE_TEXT];
    shape_text(got, tensor->shape, tensor->dims);
    shape_text(expected, param->shape, param->dims);
    return peer_fail(load->ctx, PEER_ERR_FORMAT, "%s: %s: tensor %s is %s %s, expected %s %s",
                     load->who, load->path, param->name, peer_type_names[tensor->type], got,
                     param->table ? "F32 or BF16" : peer_type_names[param->type], expected);
}

static enum peer_status check_tensors(const struct loading *load)
{
    const json_t *metadata = json_object_get(load->header, LM_CHECKPOINT_METADATA);
    const char *digits = json_string_value(json_object_get(metadata, LM_CHECKPOINT_CRC));
    struct peer_pool pool = {.ctx = load->ctx};
    Bytef *chunk = peer_pool_alloc(&pool, load->who, 1, CHUNK, 1, 1);
    enum peer_status status = chunk ? PEER_OK : PEER_ERR_MEMORY;
    unsigned long crc = 0;
    for (int64_t done = 0; !status && done < load->bytes; done += CHUNK) {
        int64_t size = load->bytes - done < CHUNK ? load->bytes - done : CHUNK;
        status = read_at(load, chunk, size, load->start + done);
        crc = status ? 0 : crc32_z(crc, chunk, (size_t)size);
    }
    peer_pool_free(&pool);
    char computed[LM_CHECKPOINT_DIGITS + 1];
    lm_checkpoint_digits(computed, crc);
    if (!status && (!digits || strcmp(digits, computed) != 0))
        status = format_error(load, "damaged: the tensors' checksum is another");
    return status;
}

/* Reads a tensor into a table of another type, a few rows at a time. */
static enum peer_status convert(const struct loading *load, struct peer_table *table,
                                const struct tensor *tensor)
{
    struct peer_pool pool = {.ctx = load->ctx};
    int64_t rows = table->rows, width = table->width, most = CHUNK / width + 1;
    int64_t row_bytes = width * (int64_t)peer_type_bytes(tensor->type);
    struct peer_table chunk = {.type = tensor->type == PEER_TYPE_BF16 ? PEER_TABLE_BF16
                                                                      : PEER_TABLE_F32,
                               .rows = most,
                               .width = width,
                               .segments = 1};
    peer_table_alloc(&chunk, &pool, load->who, NULL);
    float *values = peer_pool_floats(&pool, load->who, most, width);
    void *raw = chunk.f32 ? (void *)chunk.f32 : chunk.bf16;
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t at = 0; !status && at < rows; at += most) {
        int64_t n = rows - at < most ? rows - at : most;
        status =
            read_at(load, raw, n * row_bytes, load->start + tensor->span.begin + at * row_bytes);
        if (!status)
            peer_table_read(values, &chunk, 0, n);
        if (!status)
            peer_table_write(table, values, at, n);
    }
    peer_pool_free(&pool);
    return status;
}

static enum peer_status read_values(const struct loading *load, const struct peer_param *param,
                                    const struct tensor *tensor)
{
    bool same = (tensor->type == PEER_TYPE_F32 && param->data) ||
                (tensor->type == PEER_TYPE_BF16 && param->table && param->table->bf16);
    if (param->table && !same)
        return convert(load, param->table, tensor);
    return read_at(load, peer_param_memory(param), tensor->span.end - tensor->span.begin,
                   load->start + tensor->span.begin);
}

enum peer_status lm_checkpoint_load(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params)
{
    struct loading load;
    struct tensor tensor;
    enum peer_status status = open_checkpoint(&load, ctx, "lm_checkpoint_load", path);
    for (int64_t i = 0; !status && i < params->count; i++)
        status = find_tensor(&tensor, &load, &params->items[i]);
    if (!status)
        status = check_tensors(&load);
    for (int64_t i = 0; !status && i < params->count; i++) {
        status = find_tensor(&tensor, &load, &params->items[i]);
        if (!status)
            status = read_values(&load, &params->items[i], &tensor);
    }
    close_checkpoint(&load);
    return status;
}

/* Metadata begin with the sums, in every file of this program's; a digit or two may be damaged. */
enum peer_status lm_checkpoint_is_own(bool *ret, struct peer_ctx *ctx, const char *path)
{
    char start[sizeof(uint64_t) + LM_CHECKPOINT_START_END + 1] = {0};
    FILE *file = NULL;
    enum peer_status status = peer_file_stream(&file, ctx, "checkpoint", path);
    size_t got = file ? fread(start, 1, sizeof start - 1, file) : 0;
    if (file && ferror(file))
        status = peer_fail(ctx, PEER_ERR_IO, "checkpoint: %s: %s", path, strerror(errno));
    if (file)
        fclose(file);
    *ret =
        memmem(start, got, "\"" LM_CHECKPOINT_CRC "\"", sizeof LM_CHECKPOINT_CRC + 1) ||
        memmem(start, got, "\"" LM_CHECKPOINT_HEADER_CRC "\"", sizeof LM_CHECKPOINT_HEADER_CRC + 1);
    return status;
}
