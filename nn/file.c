/* SPDX-License-Identifier: MIT */
#include "nn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum peer_status refused(struct peer_ctx *ctx, const char *who, const char *path)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s%s%s: %s", who ? who : "", who ? ": " : "", path,
                     strerror(errno));
}

static bool is_absent(int reason)
{
    return reason == ENOENT || reason == ENOTDIR;
}

enum peer_status peer_file_there(bool *ret, struct peer_ctx *ctx, const char *who, const char *path)
{
    bool there = access(path, F_OK) == 0;
    if (!there && !is_absent(errno))
        return refused(ctx, who, path);
    *ret = there;
    return PEER_OK;
}

enum peer_status peer_file_stream(FILE **ret, struct peer_ctx *ctx, const char *who,
                                  const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (!file && !is_absent(errno))
        return refused(ctx, who, path);
    *ret = file;
    return PEER_OK;
}

enum peer_status peer_file_open(int *ret, int64_t *bytes, struct peer_ctx *ctx, const char *who,
                                const char *path)
{
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info)) {
        enum peer_status status = refused(ctx, who, path);
        if (file >= 0)
            close(file);
        return status;
    }
    if (!S_ISREG(info.st_mode)) {
        close(file);
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s: not a regular file", who, path);
    }
    *bytes = info.st_size;
    *ret = file;
    return PEER_OK;
}

enum peer_status peer_file_read(void *bytes, int64_t size, int64_t offset, struct peer_ctx *ctx,
                                int file, const char *who, const char *path)
{
    char *at = bytes;
    while (size > 0) {
        ssize_t got = pread(file, at, (size_t)size, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refused(ctx, who, path);
        if (got == 0)
            return peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s: it became shorter while it was read",
                             who, path);
        at += got;
        offset += got;
        size -= got;
    }
    return PEER_OK;
}
