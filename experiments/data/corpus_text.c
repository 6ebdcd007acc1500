/* SPDX-License-Identifier: MIT */
#include "experiments/data/corpus_text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "experiments/base/output.h"
#include "experiments/data/text_json.h"

static enum peer_status fail_io(struct peer_ctx *ctx, const char *path, const char *what)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

enum peer_status lab_text_file_create(struct lab_text_file *ret, const struct lab_folder *folder,
                                      const char *name)
{
    struct lab_text_file file = {.ctx = folder->ctx};
    char whole[64];
    snprintf(whole, sizeof whole, "%s.jsonl", name);
    lab_folder_path(folder, file.path, whole);
    file.file = lab_output_stream(file.path);
    if (!file.file)
        return fail_io(file.ctx, file.path, "create");
    *ret = file;
    return PEER_OK;
}

enum peer_status lab_text_file_add(struct lab_text_file *file, const char *text, int64_t bytes)
{
    if (bytes == 0)
        return PEER_OK;
    if (!lab_json_write_line(file->file, text, bytes))
        return fail_io(file->ctx, file->path, "write");
    file->crc = (uint32_t)crc32_z(file->crc, (const Bytef *)text, (size_t)bytes);
    file->crc = (uint32_t)crc32_z(file->crc, (const Bytef *)"\n", 1);
    file->documents++;
    file->bytes += bytes;
    return PEER_OK;
}

enum peer_status lab_text_file_finish(struct lab_text_file *file)
{
    bool written = fflush(file->file) == 0 && !ferror(file->file) && fsync(fileno(file->file)) == 0;
    enum peer_status status = written ? PEER_OK : fail_io(file->ctx, file->path, "write");
    lab_text_file_abandon(file);
    return status;
}

void lab_text_file_abandon(struct lab_text_file *file)
{
    if (file->file)
        fclose(file->file);
    file->file = NULL;
}

enum peer_status lab_sources_add(const struct lab_folder *folder, const char *format, ...)
{
    char path[LAB_PATH];
    lab_folder_path(folder, path, LAB_SOURCES);
    FILE *file = fopen(path, "abe");
    if (!file)
        return fail_io(folder->ctx, path, "create");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    bool written = fflush(file) == 0 && !ferror(file);
    enum peer_status status = written ? PEER_OK : fail_io(folder->ctx, path, "write");
    fclose(file);
    return status;
}
