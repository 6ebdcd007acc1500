/* SPDX-License-Identifier: MIT */
#include "nn/params/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/file.h"
#include "nn/kernels/bf16.h"
#include "nn/params/json_scan.h"

enum { SHOWN = 60, BITS = 8 };

/* The shortest description of a tensor in a header, a comma included. */
static const char shortest[] = "\"\":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,0]},";

/* Types that are known, and their bits. */
static const struct {
    const char *name;
    enum peer_dtype dtype;
    int bits;
} dtypes[] = {
    {"F32", PEER_DTYPE_F32, 32},      {"BF16", PEER_DTYPE_BF16, 16},
    {"F16", PEER_DTYPE_F16, 16},      {"I32", PEER_DTYPE_I32, 32},
    {"F64", PEER_DTYPE_OTHER, 64},    {"I64", PEER_DTYPE_OTHER, 64},
    {"U64", PEER_DTYPE_OTHER, 64},    {"C64", PEER_DTYPE_OTHER, 64},
    {"U32", PEER_DTYPE_OTHER, 32},    {"I16", PEER_DTYPE_OTHER, 16},
    {"U16", PEER_DTYPE_OTHER, 16},    {"I8", PEER_DTYPE_OTHER, 8},
    {"U8", PEER_DTYPE_OTHER, 8},      {"BOOL", PEER_DTYPE_OTHER, 8},
    {"F8_E4M3", PEER_DTYPE_OTHER, 8}, {"F8_E5M2", PEER_DTYPE_OTHER, 8},
    {"F8_E8M0", PEER_DTYPE_OTHER, 8}, {"F6_E2M3", PEER_DTYPE_OTHER, 6},
    {"F6_E3M2", PEER_DTYPE_OTHER, 6}, {"F4", PEER_DTYPE_OTHER, 4},
};

int64_t peer_dtype_bytes(enum peer_dtype dtype)
{
    static const int64_t bytes[] = {4, 2, 2, 4, 0};
    return bytes[dtype];
}

void peer_shape_text(char text[PEER_TENSOR_TEXT], const int64_t *shape, int dims)
{
    int used = snprintf(text, PEER_TENSOR_TEXT, "[");
    for (int i = 0; i < dims; i++)
        used += snprintf(text + used, (size_t)(PEER_TENSOR_TEXT - used), "%s%lld", i ? ", " : "",
                         (long long)shape[i]);
    snprintf(text + used, (size_t)(PEER_TENSOR_TEXT - used), "]");
}

/* A header that is being read. */
struct reading {
    struct peer_tensor_file *file;
    struct peer_json json;
    int64_t tensors; /* bytes behind the header */
    char *names;     /* room for the next name: they take no more than the header does */
};

static enum peer_status refuse(const struct peer_tensor_file *file, const char *reason)
{
    return peer_fail(file->ctx, PEER_ERR_FORMAT, "%s: %s: %s", file->who, file->path, reason);
}

/* Bytes of a name that a message has: whole characters. */
static int shown(const char *name, int64_t size)
{
    int most = size < SHOWN ? (int)size : SHOWN;
    while (most > 0 && most < size && (name[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* What is wrong with one tensor, whose name may be long. */
static enum peer_status refuse_tensor(const struct peer_tensor_file *file, const char *name,
                                      const char *reason)
{
    return peer_fail(file->ctx, PEER_ERR_FORMAT, "%s: %s: tensor %.*s%s: %s", file->who, file->path,
                     shown(name, (int64_t)strlen(name)), name, strlen(name) > SHOWN ? "..." : "",
                     reason);
}

/* What is wrong with the JSON, in a tensor of that name; "" = outside of all. */
static enum peer_status refuse_json(const struct reading *r, const char *name)
{
    char reason[128];
    snprintf(reason, sizeof reason, "byte %lld of the header: %s", (long long)r->json.at,
             r->json.error);
    return *name ? refuse_tensor(r->file, name, reason) : refuse(r->file, reason);
}

/* A list of whole numbers, at most `most`; their number goes to *count. False: the JSON is wrong,
 * or there are more, of which *count tells. */
static bool read_numbers(int64_t *ret, int *count, struct peer_json *json, int most)
{
    int64_t number;
    *count = 0;
    if (!peer_json_enter(json, '['))
        return false;
    while (peer_json_more(json)) {
        if (!peer_json_whole(json, &number))
            return false;
        if (*count < most)
            ret[*count] = number;
        (*count)++;
    }
    return !json->error && *count <= most;
}

static void read_dtype(struct peer_tensor *tensor, struct peer_json_string text)
{
    tensor->dtype = PEER_DTYPE_OTHER;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (!peer_json_is(text, dtypes[i].name))
            continue;
        tensor->dtype = dtypes[i].dtype;
        tensor->bits = dtypes[i].bits;
    }
    int64_t size = text.size < PEER_TENSOR_DTYPE ? text.size : PEER_TENSOR_DTYPE - 1;
    memcpy(tensor->dtype_name, text.text, (size_t)size);
    tensor->dtype_name[size] = '\0';
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4 };

/* The fields of a tensor; others are passed over. *has: which were there. */
static enum peer_status read_fields(struct peer_tensor *tensor, int *has, struct reading *r)
{
    struct peer_json *json = &r->json;
    struct peer_json_string name, text;
    int64_t offsets[2] = {0};
    int count = 0;
    char reason[128];
    if (!peer_json_enter(json, '{'))
        return refuse_json(r, tensor->name);
    while (peer_json_more(json) && peer_json_name(json, &name)) {
        int field = peer_json_is(name, "dtype")          ? HAS_DTYPE
                    : peer_json_is(name, "shape")        ? HAS_SHAPE
                    : peer_json_is(name, "data_offsets") ? HAS_OFFSETS
                                                         : 0;
        if (*has & field)
            return refuse_tensor(r->file, tensor->name, "dtype, shape or data_offsets stand twice");
        *has |= field;
        if (field == HAS_DTYPE && peer_json_text(json, &text)) {
            read_dtype(tensor, text);
        } else if (field == HAS_SHAPE) {
            bool read = read_numbers(tensor->shape, &tensor->dims, json, PEER_TENSOR_DIMS);
            snprintf(reason, sizeof reason, "a shape of %d sizes, expected at most %d",
                     tensor->dims, PEER_TENSOR_DIMS);
            if (!read && !json->error)
                return refuse_tensor(r->file, tensor->name, reason);
        } else if (field == HAS_OFFSETS) {
            bool read = read_numbers(offsets, &count, json, 2) && count == 2;
            snprintf(reason, sizeof reason, "data_offsets of %d numbers, expected 2", count);
            if (!read && !json->error)
                return refuse_tensor(r->file, tensor->name, reason);
        } else if (field == 0) {
            peer_json_skip(json);
        }
    }
    tensor->begin = offsets[0];
    tensor->end = offsets[1];
    return json->error ? refuse_json(r, tensor->name) : PEER_OK;
}

/* Whether data_offsets are what the shape takes, in the file. */
static enum peer_status check_place(const struct reading *r, const struct peer_tensor *tensor)
{
    char shape[PEER_TENSOR_TEXT], reason[PEER_TENSOR_TEXT + 160];
    int64_t bits = tensor->bits;
    bool known = bits > 0, fits = true, empty = false;
    for (int i = 0; i < tensor->dims; i++)
        empty = empty || tensor->shape[i] == 0;
    for (int i = 0; i < tensor->dims && !empty; i++)
        fits = fits && !__builtin_mul_overflow(bits, tensor->shape[i], &bits);
    int64_t bytes = empty ? 0 : bits / BITS;
    if (tensor->begin > tensor->end || tensor->end > r->tensors) {
        snprintf(reason, sizeof reason,
                 "data_offsets [%lld, %lld], but %lld bytes follow the header",
                 (long long)tensor->begin, (long long)tensor->end, (long long)r->tensors);
        return refuse_tensor(r->file, tensor->name, reason);
    }
    if (!known || (fits && tensor->end - tensor->begin == bytes && (empty || bits % BITS == 0)))
        return PEER_OK;
    peer_shape_text(shape, tensor->shape, tensor->dims);
    if (fits)
        snprintf(reason, sizeof reason,
                 "%s %s takes %lld bytes, data_offsets [%lld, %lld] has %lld", tensor->dtype_name,
                 shape, (long long)bytes, (long long)tensor->begin, (long long)tensor->end,
                 (long long)(tensor->end - tensor->begin));
    else
        snprintf(reason, sizeof reason, "%s %s is larger than any file", tensor->dtype_name, shape);
    return refuse_tensor(r->file, tensor->name, reason);
}

/* A copy of the name that lives as long as the file. */
static enum peer_status take_name(const char **ret, struct reading *r, struct peer_json_string text)
{
    struct peer_tensor_file *file = r->file;
    if (text.size > PEER_TENSOR_NAME)
        return peer_fail(file->ctx, PEER_ERR_FORMAT,
                         "%s: %s: a tensor's name of %lld bytes, \"%.*s...\", expected at most %d",
                         file->who, file->path, (long long)text.size, shown(text.text, text.size),
                         text.text, PEER_TENSOR_NAME);
    char *name = r->names;
    int64_t size = peer_json_unescape(name, text);
    name[size] = '\0'; /* where a quote stood */
    r->names += size + 1;
    *ret = name;
    return memchr(name, 0, (size_t)size) ? refuse_tensor(file, name, "a byte of 0 in its name")
                                         : PEER_OK;
}

static enum peer_status read_tensor(struct reading *r, struct peer_json_string name)
{
    struct peer_tensor tensor = {.dtype = PEER_DTYPE_OTHER};
    int has = 0;
    enum peer_status status = take_name(&tensor.name, r, name);
    if (!status)
        status = read_fields(&tensor, &has, r);
    if (!status && has != (HAS_DTYPE | HAS_SHAPE | HAS_OFFSETS))
        status = refuse_tensor(r->file, tensor.name,
                               !(has & HAS_DTYPE)   ? "it has no dtype"
                               : !(has & HAS_SHAPE) ? "it has no shape"
                                                    : "it has no data_offsets");
    if (!status)
        status = check_place(r, &tensor);
    if (!status)
        r->file->items[r->file->count++] = tensor;
    return status;
}

static enum peer_status read_tensors(struct reading *r)
{
    struct peer_json_string name;
    enum peer_status status = PEER_OK;
    bool metadata = false;
    if (!peer_json_enter(&r->json, '{'))
        return refuse_json(r, "");
    while (!status && peer_json_more(&r->json) && peer_json_name(&r->json, &name)) {
        if (!peer_json_is(name, PEER_TENSOR_METADATA))
            status = read_tensor(r, name);
        else if (metadata)
            status = refuse(r->file, PEER_TENSOR_METADATA " stands twice");
        else
            metadata = peer_json_skip(&r->json);
    }
    if (!status && !peer_json_end(&r->json))
        status = refuse_json(r, "");
    return status;
}

static const struct peer_tensor *at(const void *place)
{
    return *(const struct peer_tensor *const *)place;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(at(left)->name, at(right)->name);
}

static int compare_places(const void *left, const void *right)
{
    const struct peer_tensor *a = at(left), *b = at(right);
    return a->begin != b->begin ? (a->begin > b->begin) - (a->begin < b->begin)
                                : (a->end > b->end) - (a->end < b->end);
}

/* No two have a byte in common. */
static enum peer_status check_places(const struct peer_tensor_file *file,
                                     const struct peer_tensor *const *by_place)
{
    char reason[256];
    const struct peer_tensor *before = NULL;
    for (int64_t i = 0; i < file->count; i++) {
        const struct peer_tensor *one = by_place[i];
        if (one->begin == one->end)
            continue;
        if (before && before->end > one->begin) {
            snprintf(reason, sizeof reason,
                     "data_offsets [%lld, %lld] overlap those of %.*s, [%lld, %lld]",
                     (long long)one->begin, (long long)one->end,
                     shown(before->name, (int64_t)strlen(before->name)), before->name,
                     (long long)before->begin, (long long)before->end);
            return refuse_tensor(file, one->name, reason);
        }
        before = one;
    }
    return PEER_OK;
}

/* No two have a byte, or a name, in common. */
static enum peer_status check_pairs(struct peer_tensor_file *file)
{
    const struct peer_tensor **order =
        peer_pool_alloc(&file->pool, file->who, sizeof *order, file->count, 1, 1);
    if (!order)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < file->count; i++)
        order[i] = &file->items[i];
    qsort(order, (size_t)file->count, sizeof *order, compare_places);
    enum peer_status status = check_places(file, order);
    qsort(order, (size_t)file->count, sizeof *order, compare_names);
    file->by_name = order;
    for (int64_t i = 1; i < file->count && !status; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            status = refuse_tensor(file, order[i]->name, "the name stands twice");
    return status;
}

static enum peer_status read_header(struct peer_tensor_file *file, int64_t size, int64_t bytes)
{
    const int64_t start = sizeof(uint64_t);
    struct peer_pool pool = {.ctx = file->ctx};
    char *text = peer_pool_alloc(&pool, file->who, 1, size, 1, 1);
    char *names = peer_pool_alloc(&file->pool, file->who, 1, size, 1, 1);
    file->items = peer_pool_alloc(&file->pool, file->who, sizeof *file->items,
                                  size / (int64_t)(sizeof shortest - 1) + 1, 1, 1);
    enum peer_status status =
        text && names && file->items
            ? peer_file_read(text, size, start, file->ctx, file->file, file->who, file->path)
            : PEER_ERR_MEMORY;
    if (!status) {
        struct reading r = {file, peer_json_begin(text, size), bytes - start - size, names};
        status = read_tensors(&r);
    }
    peer_pool_free(&pool);
    if (!status)
        status = check_pairs(file);
    for (int64_t i = 0; !status && i < file->count; i++) {
        file->items[i].begin += start + size;
        file->items[i].end += start + size;
    }
    return status;
}

enum peer_status peer_tensor_file_open(struct peer_tensor_file *ret, struct peer_ctx *ctx,
                                       const char *who, const char *path)
{
    struct peer_tensor_file file = {
        .ctx = ctx, .who = who, .path = path, .pool = {.ctx = ctx}, .file = -1};
    uint64_t size = 0;
    int64_t bytes = 0;
    enum peer_status status = peer_file_open(&file.file, &bytes, ctx, who, path);
    if (status)
        return status;
    int64_t rest = bytes - (int64_t)sizeof size;
    if (rest < 0)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "%s: %s: %lld bytes, too short for the length of a header", who, path,
                           (long long)bytes);
    else
        status = peer_file_read(&size, sizeof size, 0, ctx, file.file, who, path);
    if (!status && size > (uint64_t)rest)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "%s: %s: a header of %" PRIu64
                           " bytes, but %lld follow: cut, or no safetensors file",
                           who, path, size, (long long)rest);
    if (!status && size > PEER_TENSOR_HEADER)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "%s: %s: a header of %" PRIu64 " bytes, expected at most %d", who, path,
                           size, PEER_TENSOR_HEADER);
    if (!status)
        status = read_header(&file, (int64_t)size, bytes);
    if (status)
        peer_tensor_file_close(&file);
    else
        *ret = file;
    return status;
}

void peer_tensor_file_close(struct peer_tensor_file *file)
{
    if (file->file >= 0)
        close(file->file);
    file->file = -1;
    peer_pool_free(&file->pool);
}

const struct peer_tensor *peer_tensor_file_find(const struct peer_tensor_file *file,
                                                const char *name)
{
    const struct peer_tensor key = {.name = name}, *wanted = &key;
    const void *found =
        bsearch(&wanted, file->by_name, (size_t)file->count, sizeof *file->by_name, compare_names);
    return found ? at(found) : NULL;
}

/* Every half-precision number is a float. */
static float f16_value(uint16_t y)
{
    uint32_t exponent = y >> 10 & 31, fraction = y & 1023, sign = (uint32_t)(y >> 15) << 31;
    uint32_t bits = sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 | fraction << 13;
    float size = (float)fraction * 0x1p-24f, x;
    memcpy(&x, &bits, sizeof x);
    return exponent > 0 ? x : sign ? -size : size;
}

enum peer_status peer_tensor_read(float *values, void *raw, const struct peer_tensor_file *file,
                                  const struct peer_tensor *tensor, int64_t first, int64_t n)
{
    int64_t bytes = peer_dtype_bytes(tensor->dtype);
    enum peer_status status = peer_file_read(raw, n * bytes, tensor->begin + first * bytes,
                                             file->ctx, file->file, file->who, file->path);
    const uint16_t *halves = raw;
    if (status)
        return status;
    if (tensor->dtype == PEER_DTYPE_F32 && (void *)values != raw)
        memcpy(values, raw, (size_t)n * sizeof *values);
    for (int64_t i = 0; tensor->dtype == PEER_DTYPE_BF16 && i < n; i++)
        values[i] = peer_bf16_value(halves[i]);
    for (int64_t i = 0; tensor->dtype == PEER_DTYPE_F16 && i < n; i++)
        values[i] = f16_value(halves[i]);
    return PEER_OK;
}
