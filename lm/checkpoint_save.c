/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lm/checkpoint.h"
#include "lm/checkpoint_layout.h"
#include "lm/json.h"

/* A save in progress. */
struct saving {
    struct peer_ctx *ctx;
    const char *path;
    char temporary[PATH_MAX];
    int file;
};

static enum peer_status io_error(const struct saving *save, const char *what)
{
    return peer_fail(save->ctx, PEER_ERR_IO, "lm_checkpoint_save: %s: %s: %s", save->path, what,
                     strerror(errno));
}

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

/* Opens the temporary file, which only the holder of its lock may change: what a killed process
 * left is taken over, what a living one writes is not. */
static enum peer_status open_temporary(struct saving *save)
{
    struct stat held, named;
    int length = snprintf(save->temporary, sizeof save->temporary, "%s.tmp", save->path);
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return io_error(save, "open");
    }
    /* A link, of either kind, would lead to a file that is not ours. */
    if (lstat(save->temporary, &named) == 0 && (!S_ISREG(named.st_mode) || named.st_nlink > 1))
        unlink(save->temporary);
    save->file = open(save->temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (save->file < 0)
        return io_error(save, "open");
    bool owned = flock(save->file, LOCK_EX | LOCK_NB) == 0 && fstat(save->file, &held) == 0 &&
                 lstat(save->temporary, &named) == 0 && held.st_ino == named.st_ino &&
                 held.st_dev == named.st_dev && held.st_nlink == 1;
    if (owned && ftruncate(save->file, 0) == 0)
        return PEER_OK;
    enum peer_status status = owned ? io_error(save, "truncate")
                                    : peer_fail(save->ctx, PEER_ERR_IO,
                                                "lm_checkpoint_save: %s is being written by "
                                                "another process",
                                                save->temporary);
    close(save->file);
    return status;
}

static enum peer_status write_all(const struct saving *save, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(save->file, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return io_error(save, "write");
        at += written;
        size -= (size_t)written;
    }
    return PEER_OK;
}

static enum peer_status write_contents(const struct saving *save, const char *header, size_t size,
                                       const struct peer_params *params)
{
    uint64_t length = size;
    enum peer_status status = write_all(save, &length, sizeof length);
    if (!status)
        status = write_all(save, header, size);
    for (int64_t i = 0; !status && i < params->count; i++)
        status = write_all(save, peer_param_memory(&params->items[i]),
                           peer_param_bytes(&params->items[i]));
    if (!status && fsync(save->file))
        status = io_error(save, "fsync");
    return status;
}

/* Makes the rename last. File systems that cannot sync a folder say EINVAL. */
static enum peer_status sync_folder(const struct saving *save)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(save->path, '/');
    int length = slash ? (int)(slash - save->path) + 1 : 1;
    snprintf(folder, sizeof folder, "%.*s", length, slash ? save->path : ".");
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return io_error(save, "open the folder");
    enum peer_status status = PEER_OK;
    if (fsync(file) && errno != EINVAL)
        status = io_error(save, "fsync the folder");
    close(file);
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
    struct saving save = {.ctx = ctx, .path = path};
    enum peer_status status = check_metadata(ctx, metadata);
    if (!status)
        status = check_tables(ctx, params);
    if (status)
        return status;
    size_t size = 0;
    char *header = make_header(&size, params, metadata);
    if (!header)
        return peer_fail(ctx, PEER_ERR_MEMORY, "lm_checkpoint_save: no memory for the header");
    status = open_temporary(&save);
    if (!status) {
        status = write_contents(&save, header, size, params);
        if (!status && rename(save.temporary, path))
            status = io_error(&save, "rename");
        if (status)
            unlink(save.temporary);
        close(save.file);
        if (!status)
            status = sync_folder(&save);
    }
    free(header);
    return status;
}
