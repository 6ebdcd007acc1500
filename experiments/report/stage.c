/* SPDX-License-Identifier: MIT */
#include "experiments/report/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/base/output_check.h"
#include "experiments/cli/stop.h"
#include "nn/file.h"

static enum peer_status refused(struct peer_ctx *ctx, const char *what, const char *path)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static enum peer_status join(struct lab_stage *stage, char path[LAB_STAGE_PATH], const char *folder,
                             const char *name)
{
    int length = snprintf(path, LAB_STAGE_PATH, "%s/%s", folder, name);
    return length < LAB_STAGE_PATH
               ? PEER_OK
               : peer_fail(stage->ctx, PEER_ERR_IO, "%s: the path has %d bytes, at most %d", name,
                           length, LAB_STAGE_PATH - 1);
}

/* Makes every folder of `path` up to its last '/', and with `whole` the last part too. */
static enum peer_status make_folders(struct peer_ctx *ctx, char *path, bool whole)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (!slash && !whole)
            return PEER_OK;
        if (slash)
            *slash = 0;
        bool made = !mkdir(path, 0777) || errno == EEXIST;
        if (!made)
            refused(ctx, "make the folder", path);
        if (slash)
            *slash = '/';
        if (!made || !slash)
            return made ? PEER_OK : PEER_ERR_IO;
    }
}

enum peer_status lab_make_folder(struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_STAGE_PATH];
    if (!*folder || snprintf(path, sizeof path, "%s", folder) >= LAB_STAGE_PATH)
        return peer_fail(ctx, PEER_ERR_IO, "\"%.60s\" cannot be the path of a folder", folder);
    return make_folders(ctx, path, true);
}

bool lab_may_write(const char *folder)
{
    char path[LAB_STAGE_PATH];
    if (snprintf(path, sizeof path, "%s", folder) >= LAB_STAGE_PATH) {
        errno = ENAMETOOLONG;
        return false;
    }
    while (access(path, F_OK) != 0 && errno == ENOENT) { /* the nearest that is there */
        char *slash = strrchr(path, '/');
        if (!slash)
            return access(".", W_OK | X_OK) == 0;
        slash[slash == path] = 0;
    }
    return access(path, W_OK | X_OK) == 0;
}

enum peer_status lab_stage_open(struct lab_stage *stage, struct peer_ctx *ctx, const char *folder)
{
    stage->ctx = ctx;
    if (!*folder)
        return peer_fail(ctx, PEER_ERR_IO, "no folder to write to was given");
    int length = snprintf(stage->folder, sizeof stage->folder, "%s", folder);
    if (length >= LAB_STAGE_PATH)
        return peer_fail(ctx, PEER_ERR_IO, "the folder's path has %d bytes, at most %d", length,
                         LAB_STAGE_PATH - 1);
    enum peer_status status = make_folders(ctx, stage->folder, true);
    if (status == PEER_OK)
        status = join(stage, stage->hidden, stage->folder, ".new-XXXXXX");
    if (status == PEER_OK && !mkdtemp(stage->hidden))
        status = refused(ctx, "write to the folder", stage->folder);
    return status;
}

enum peer_status lab_stage_try(struct peer_ctx *ctx, const char *folder)
{
    struct lab_stage stage;
    enum peer_status status = lab_output_check_folder(ctx, folder, LAB_HOLDS_ANY);
    if (status == PEER_OK)
        status = lab_stage_open(&stage, ctx, folder);
    if (status == PEER_OK)
        lab_stage_discard(&stage);
    return status;
}

enum peer_status lab_stage_path(struct lab_stage *stage, char path[LAB_STAGE_PATH],
                                const char *name)
{
    enum peer_status status = join(stage, path, stage->hidden, name);
    return status == PEER_OK && strchr(name, '/') ? make_folders(stage->ctx, path, false) : status;
}

FILE *lab_stage_create(struct lab_stage *stage, const char *name)
{
    char path[LAB_STAGE_PATH];
    if (lab_stage_path(stage, path, name) != PEER_OK)
        return NULL;
    FILE *file = lab_output_stream(path);
    if (!file)
        refused(stage->ctx, "write", path);
    return file;
}

enum peer_status lab_stage_close(struct lab_stage *stage, FILE *file, const char *name)
{
    errno = 0;
    bool whole = !fflush(file) && !ferror(file) && !fsync(fileno(file));
    int reason = errno ? errno : EIO;
    whole = !fclose(file) && whole;
    if (whole)
        return PEER_OK;
    errno = reason;
    char path[LAB_STAGE_PATH];
    enum peer_status status = join(stage, path, stage->folder, name);
    return status == PEER_OK ? refused(stage->ctx, "write", path) : status;
}

/* The folder that `name` (its first part, where it has two) is to lie in, made where it is not
 * there; -1 with errno set, where it is a link too: that is not followed. */
static int open_place(int folder, const char *name)
{
    char part[LAB_STAGE_PATH];
    const char *slash = strchr(name, '/');
    snprintf(part, sizeof part, "%.*s", slash ? (int)(slash - name) : 1, slash ? name : ".");
    if (mkdirat(folder, part, 0777) != 0 && errno != EEXIST)
        return -1;
    return openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Moves one file into place, or removes the older one where the set has none. */
static enum peer_status move(struct lab_stage *stage, int folder, const char *name)
{
    char from[LAB_STAGE_PATH], to[LAB_STAGE_PATH];
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    enum peer_status status = join(stage, from, stage->hidden, name);
    if (status == PEER_OK)
        status = join(stage, to, stage->folder, name);
    if (status != PEER_OK)
        return status;
    bool made, failed; /* an older file goes only where there surely is no new one */
    status = peer_file_there(&made, stage->ctx, NULL, from);
    if (status != PEER_OK)
        return status;
    int place = open_place(folder, name);
    if (place < 0)
        return refused(stage->ctx, made ? "replace" : "remove", to);
    if (made)
        failed = renameat(AT_FDCWD, from, place, last) != 0;
    else
        failed = unlinkat(place, last, 0) != 0 && errno != ENOENT;
    if (failed)
        refused(stage->ctx, made ? "replace" : "remove", to);
    close(place);
    return failed ? PEER_ERR_IO : PEER_OK;
}

enum peer_status lab_stage_commit(struct lab_stage *stage, const char *const *names)
{
    int folder = open(stage->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return refused(stage->ctx, "write to the folder", stage->folder);
    enum peer_status status = PEER_OK;
    lab_stop_hold(); /* files of two sets are no set */
    for (; status == PEER_OK && *names; names++)
        status = move(stage, folder, *names);
    lab_stop_release();
    close(folder);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

bool lab_remove_tree(const char *path)
{
    return nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0;
}

void lab_stage_discard(struct lab_stage *stage)
{
    if (!lab_remove_tree(stage->hidden) && errno != ENOENT)
        fprintf(stderr, "peerlab: %s: cannot be removed: %s\n", stage->hidden, strerror(errno));
}
