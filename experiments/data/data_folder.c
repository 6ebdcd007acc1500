/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/cli/stop.h"
#include "experiments/report/stage.h"
#include "nn/file.h"

enum { HOST_BYTES = 40 };

static enum peer_status fail_io(struct peer_ctx *ctx, const char *path, const char *what)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static enum peer_status look_inside(bool *empty, struct peer_ctx *ctx, const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return fail_io(ctx, path, "list it");
    int entries = 0;
    errno = 0;
    while (readdir(folder))
        entries++;
    enum peer_status status = errno ? fail_io(ctx, path, "list it") : PEER_OK;
    closedir(folder);
    *empty = entries == 2;
    return status;
}

/* Whether a folder's own list, its file called `mark`, names a text in it. */
static bool is_listed(const char *folder, const char *mark, const char *name)
{
    char path[2 * LAB_PATH], line[512];
    snprintf(path, sizeof path, "%s/%s", folder, mark);
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
    if (file)
        fclose(file);
    return found;
}

/* What is replaced is removed: nothing that somebody else has put there may go with it. */
static enum peer_status check_contents(const struct lab_folder *folder, const char *mark)
{
    static const char *const own[] = {"train.bin",       "valid.bin",       "data.json",
                                      "tokenizer.model", "tokenizer.vocab", "facts.json"};
    DIR *entries = opendir(folder->final);
    if (!entries)
        return fail_io(folder->ctx, folder->final, "list it");
    enum peer_status status = PEER_OK;
    errno = 0;
    for (struct dirent *entry; status == PEER_OK && (entry = readdir(entries)); errno = 0) {
        const char *name = entry->d_name;
        bool known = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, mark) == 0;
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            known = known || strcmp(name, own[i]) == 0;
        if (!known && !is_listed(folder->final, mark, name))
            status =
                peer_fail(folder->ctx, PEER_ERR_ARGUMENT,
                          "%s: holds %.100s, which this command did not make and --force would "
                          "remove; move it, or choose another name",
                          folder->final, name);
    }
    if (status == PEER_OK && errno)
        status = fail_io(folder->ctx, folder->final, "list it");
    closedir(entries);
    return status;
}

/* Whether the final name may be taken. */
static enum peer_status check_final(struct lab_folder *folder, const char *mark, bool force)
{
    struct stat about;
    char path[LAB_PATH];
    const char *final = folder->final;
    if (lstat(final, &about))
        return errno == ENOENT ? PEER_OK : fail_io(folder->ctx, final, "look at it");
    bool empty = false, marked = false;
    snprintf(path, sizeof path, "%s/%s", final, mark);
    enum peer_status status =
        S_ISDIR(about.st_mode) ? look_inside(&empty, folder->ctx, final) : PEER_OK;
    if (status == PEER_OK && !empty)
        status = peer_file_there(&marked, folder->ctx, NULL, path);
    if (status != PEER_OK || empty)
        return status;
    if (!marked)
        return peer_fail(folder->ctx, PEER_ERR_ARGUMENT,
                         "%s: exists and was not made by this command (no %s in it); choose "
                         "another name",
                         final, mark);
    if (!force)
        return peer_fail(folder->ctx, PEER_ERR_ARGUMENT,
                         "%s: exists; --force replaces it once the new one is complete", final);
    folder->replace = true;
    return check_contents(folder, mark);
}

static void host_name(char name[HOST_BYTES])
{
    if (gethostname(name, HOST_BYTES))
        strcpy(name, "host");
    name[HOST_BYTES - 1] = '\0';
}

/* Removes "FINAL.partial-HOST-PID" of processes that are no more. */
static void remove_stale(const struct lab_folder *folder)
{
    char parent[LAB_PATH], prefix[LAB_PATH], host[HOST_BYTES];
    const char *slash = strrchr(folder->final, '/');
    host_name(host);
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - folder->final + 1) : 1,
             slash ? folder->final : ".");
    snprintf(prefix, sizeof prefix, "%s.partial-%s-", slash ? slash + 1 : folder->final, host);
    DIR *entries = opendir(parent);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        char path[2 * LAB_PATH], *end;
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        long pid = strtol(entry->d_name + strlen(prefix), &end, 10);
        if (*end || pid <= 1 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        lab_remove_tree(path);
    }
    if (entries)
        closedir(entries);
}

/* Makes the temporary folder, which nobody else may have made: what a process of the same number
 * left is removed, and so is a link. */
static enum peer_status make_temporary(const struct lab_folder *folder)
{
    char parent[LAB_PATH];
    snprintf(parent, sizeof parent, "%s", folder->temporary);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = 0;
        enum peer_status status = lab_make_folder(folder->ctx, parent);
        if (status != PEER_OK)
            return status;
    }
    if (mkdir(folder->temporary, 0777) == 0)
        return PEER_OK;
    if (errno == EEXIST && lab_remove_tree(folder->temporary) &&
        mkdir(folder->temporary, 0777) == 0)
        return PEER_OK;
    return fail_io(folder->ctx, folder->temporary, "make the folder");
}

enum peer_status lab_folder_create(struct lab_folder *ret, struct peer_ctx *ctx, const char *path,
                                   const char *mark, bool force)
{
    struct lab_folder folder = {.ctx = ctx};
    char host[HOST_BYTES];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + 128 > sizeof folder.final)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "the output's name has %zu bytes, expected 1 ... %zu", length,
                         sizeof folder.final - 128);
    memcpy(folder.final, path, length);
    enum peer_status status = check_final(&folder, mark, force);
    if (status != PEER_OK)
        return status;
    remove_stale(&folder);
    host_name(host);
    int size = snprintf(folder.temporary, sizeof folder.temporary, "%s.partial-%s-%ld",
                        folder.final, host, (long)getpid());
    assert(size < (int)sizeof folder.temporary);
    (void)size;
    status = make_temporary(&folder);
    if (status == PEER_OK)
        *ret = folder;
    return status;
}

void lab_folder_path(const struct lab_folder *folder, char *path, const char *name)
{
    int length = snprintf(path, LAB_PATH, "%s/%s", folder->temporary, name);
    assert(length < LAB_PATH);
    (void)length;
}

/* Exchanges the new folder with the old one; where the file system cannot, by way of a third name.
 */
static enum peer_status exchange(const struct lab_folder *folder)
{
    char aside[LAB_PATH];
    if (renameat2(AT_FDCWD, folder->temporary, AT_FDCWD, folder->final, RENAME_EXCHANGE) == 0)
        return lab_remove_tree(folder->temporary)
                   ? PEER_OK
                   : fail_io(folder->ctx, folder->temporary, "remove the folder replaced");
    snprintf(aside, sizeof aside, "%s.old", folder->temporary);
    if (rename(folder->final, aside))
        return fail_io(folder->ctx, folder->final, "rename");
    if (rename(folder->temporary, folder->final)) {
        int error = errno;
        rename(aside, folder->final);
        errno = error;
        return fail_io(folder->ctx, folder->final, "replace");
    }
    return lab_remove_tree(aside) ? PEER_OK
                                  : fail_io(folder->ctx, aside, "remove the folder replaced");
}

enum peer_status lab_folder_finish(struct lab_folder *folder, enum peer_status status)
{
    lab_stop_hold(); /* the old folder has another name for a moment */
    if (status == PEER_OK && folder->replace)
        status = exchange(folder);
    else if (status == PEER_OK && rename(folder->temporary, folder->final))
        status = fail_io(folder->ctx, folder->final, "rename to this name");
    lab_stop_release();
    if (status != PEER_OK && *folder->temporary)
        lab_remove_tree(folder->temporary);
    *folder->temporary = '\0';
    return status;
}
