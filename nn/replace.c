/* SPDX-License-Identifier: MIT */
#include "nn/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum peer_status io_error(const struct peer_replace *replace, const char *what)
{
    return peer_fail(replace->ctx, PEER_ERR_IO, "%s: %s: %s: %s", replace->who, replace->path, what,
                     strerror(errno));
}

enum peer_status peer_replace_begin(struct peer_replace *ret, struct peer_ctx *ctx, const char *who,
                                    const char *path)
{
    struct stat held, named;
    *ret = (struct peer_replace){.ctx = ctx, .who = who, .path = path, .file = -1};
    int length = snprintf(ret->temporary, sizeof ret->temporary, "%s.tmp", path);
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return io_error(ret, "open");
    }
    /* A link, of either kind, would lead to a file that is not ours. */
    if (lstat(ret->temporary, &named) == 0 && (!S_ISREG(named.st_mode) || named.st_nlink > 1))
        unlink(ret->temporary);
    ret->file = open(ret->temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (ret->file < 0)
        return io_error(ret, "open");
    bool owned = flock(ret->file, LOCK_EX | LOCK_NB) == 0 && fstat(ret->file, &held) == 0 &&
                 lstat(ret->temporary, &named) == 0 && held.st_ino == named.st_ino &&
                 held.st_dev == named.st_dev && held.st_nlink == 1;
    if (owned && ftruncate(ret->file, 0) == 0)
        return PEER_OK;
    enum peer_status status =
        owned ? io_error(ret, "truncate")
              : peer_fail(ctx, PEER_ERR_IO, "%s: %s is being written by another process", who,
                          ret->temporary);
    close(ret->file);
    return status;
}

enum peer_status peer_replace_write(const struct peer_replace *replace, const void *bytes,
                                    size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(replace->file, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return io_error(replace, "write");
        at += written;
        size -= (size_t)written;
    }
    return PEER_OK;
}

/* Makes the rename last. File systems that cannot sync a folder say EINVAL. */
static enum peer_status sync_folder(const struct peer_replace *replace)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(replace->path, '/');
    int length = slash ? (int)(slash - replace->path) + 1 : 1;
    snprintf(folder, sizeof folder, "%.*s", length, slash ? replace->path : ".");
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return io_error(replace, "open the folder");
    enum peer_status status = PEER_OK;
    if (fsync(file) && errno != EINVAL)
        status = io_error(replace, "fsync the folder");
    close(file);
    return status;
}

enum peer_status peer_replace_end(struct peer_replace *replace, enum peer_status status)
{
    if (!status && fsync(replace->file))
        status = io_error(replace, "fsync");
    if (!status && rename(replace->temporary, replace->path))
        status = io_error(replace, "rename");
    if (status)
        unlink(replace->temporary);
    close(replace->file);
    return status ? status : sync_folder(replace);
}
