/* SPDX-License-Identifier: MIT */
#include "experiments/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 100 };

static enum peer_status refused(struct lab_output *output, int reason)
{
    return peer_fail(output->ctx, PEER_ERR_IO, "%s: %s", output->path, strerror(reason));
}

/* A descriptor that is the process's own, a pipe or a device: written to, never replaced. */
static bool is_stream(const char *path)
{
    struct stat info;
    bool device = strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0;
    return device || strncmp(path, "/proc/", 6) == 0 ||
           (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
}

/* A file of a name that nobody has; what a killed process left is passed over. */
static int open_temporary(struct lab_output *output)
{
    int file = -1;
    for (int i = 0; i < TRIES && file < 0; i++) {
        int length = snprintf(output->temporary, sizeof output->temporary, "%s.%ld-%d.tmp",
                              output->path, (long)getpid(), i);
        if (length >= (int)sizeof output->temporary) {
            errno = ENAMETOOLONG;
            return -1;
        }
        file = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST)
            return -1;
    }
    return file;
}

static int open_path(struct lab_output *output)
{
    struct stat info;
    if (is_stream(output->path))
        return open(output->path, O_WRONLY | O_CLOEXEC);
    if (stat(output->path, &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    return open_temporary(output);
}

enum peer_status lab_output_open(struct lab_output *ret, struct peer_ctx *ctx, const char *path)
{
    *ret = (struct lab_output){.ctx = ctx};
    if (snprintf(ret->path, sizeof ret->path, "%s", path) >= (int)sizeof ret->path)
        return refused(ret, ENAMETOOLONG);
    int file = open_path(ret);
    if (file < 0)
        return refused(ret, errno);
    ret->file = fdopen(file, "wb");
    if (ret->file)
        return PEER_OK;
    enum peer_status status = refused(ret, errno);
    close(file);
    if (*ret->temporary)
        unlink(ret->temporary);
    return status;
}

/* Ends the stream; returns 0 or an errno value. */
static int end_stream(struct lab_output *output)
{
    errno = 0;
    bool whole = fflush(output->file) == 0 && !ferror(output->file);
    if (whole && *output->temporary)
        whole = fsync(fileno(output->file)) == 0;
    int reason = whole ? 0 : errno ? errno : EIO;
    if (fclose(output->file) != 0 && !reason)
        reason = errno;
    output->file = NULL;
    return reason;
}

enum peer_status lab_output_close(struct lab_output *output, enum peer_status status)
{
    if (!output->file)
        return status;
    int reason = end_stream(output);
    bool good = status == PEER_OK && !reason;
    if (good && *output->temporary && rename(output->temporary, output->path) != 0) {
        reason = errno;
        good = false;
    }
    if (!good && *output->temporary)
        unlink(output->temporary);
    return good || status != PEER_OK ? status : refused(output, reason);
}

enum peer_status lab_write_file(struct peer_ctx *ctx, const char *path, const char *text,
                                size_t size)
{
    struct lab_output output;
    enum peer_status status = lab_output_open(&output, ctx, path);
    if (status != PEER_OK)
        return status;
    fwrite(text, 1, size, output.file);
    return lab_output_close(&output, PEER_OK);
}

int lab_output_new(const char *path)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file = -1;
    for (int i = 0; i < TRIES && file < 0; i++) {
        if (unlink(path) != 0 && errno != ENOENT)
            return -1;
        file = open(path, flags, 0666);
        if (file < 0 && errno != EEXIST)
            return -1;
    }
    return file;
}

FILE *lab_output_stream(const char *path)
{
    int file = lab_output_new(path);
    FILE *stream = file < 0 ? NULL : fdopen(file, "w+b");
    if (file >= 0 && !stream)
        close(file);
    return stream;
}

int lab_output_lock(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
}

enum peer_status lab_output_folder(struct peer_ctx *ctx, const char *base, const char *name)
{
    struct stat info;
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", base, name) >= (int)sizeof path)
        return peer_fail(ctx, PEER_ERR_IO, "%.60s...: %s", base, strerror(ENAMETOOLONG));
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot make the folder: %s", path, strerror(errno));
    if (lstat(path, &info) != 0)
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_IO,
                     "%s: is %s, not a folder; links inside of a folder are not followed", path,
                     S_ISLNK(info.st_mode) ? "a link" : "a file");
}
