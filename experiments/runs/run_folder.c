/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "experiments/base/output_check.h"
#include "experiments/report/stage.h"
#include "experiments/runs/config_difference.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/same_text.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/run_state.h"
#include "nn/file.h"

static void path_in(char *path, const struct lab_run_folder *folder, const char *name)
{
    snprintf(path, LAB_PATH, "%s/%s", folder->path, name);
}

static enum peer_status look(bool *ret, const struct lab_run_folder *folder, const char *name)
{
    char path[LAB_PATH];
    path_in(path, folder, name);
    return peer_file_there(ret, folder->ctx, NULL, path);
}

/* Whether it holds no more than a lock. */
static bool is_empty(const char *path)
{
    DIR *entries = opendir(path);
    bool empty = entries != NULL;
    errno = 0;
    for (struct dirent *entry; empty && (entry = readdir(entries)); errno = 0)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lock") == 0;
    empty = empty && errno == 0;
    if (entries)
        closedir(entries);
    return empty;
}

/* Whether the open lock still is the folder's: another process may have removed both. */
static bool is_current(const struct lab_run_folder *folder)
{
    struct stat held, named;
    char path[LAB_PATH];
    path_in(path, folder, "lock");
    return fstat(folder->lock, &held) == 0 && lstat(path, &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static enum peer_status open_lock(struct lab_run_folder *folder)
{
    char path[LAB_PATH];
    path_in(path, folder, "lock");
    bool there = false;
    enum peer_status status = peer_file_there(&there, folder->ctx, NULL, folder->path);
    if (status == PEER_OK)
        status = lab_make_folder(folder->ctx, folder->path);
    if (status != PEER_OK)
        return status;
    folder->made = folder->made || !there;
    if (folder->lock >= 0)
        close(folder->lock);
    folder->lock = lab_output_lock(path);
    if (folder->lock >= 0)
        return PEER_OK;
    return peer_fail(folder->ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
}

static enum peer_status take_lock(struct lab_run_folder *folder, bool patient,
                                  bool (*stop)(void *user), void *user)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    enum peer_status status = open_lock(folder);
    while (status == PEER_OK && flock(folder->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return peer_fail(folder->ctx, PEER_ERR_IO, "%s/lock: %s", folder->path,
                             strerror(errno));
        if (!patient)
            return peer_fail(folder->ctx, PEER_ERR_IO, "%s: another process trains in this folder",
                             folder->path);
        if (stop && stop(user))
            return peer_fail(folder->ctx, PEER_ERR_STOPPED, "%s: stopped before training",
                             folder->path);
        nanosleep(&pause, NULL);
    }
    return status;
}

enum peer_status lab_run_folder_open(struct lab_run_folder *ret, struct peer_ctx *ctx,
                                     const char *path, bool patient, bool (*stop)(void *user),
                                     void *user)
{
    *ret = (struct lab_run_folder){.ctx = ctx, .path = path, .lock = -1};
    if (strlen(path) > LAB_FOLDER)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", path,
                         LAB_FOLDER);
    enum peer_status status = lab_output_check_folder(ctx, path, LAB_HOLDS_DATA | LAB_HOLDS_SWEEP);
    if (status != PEER_OK)
        return status;
    do
        status = take_lock(ret, patient, stop, user);
    while (status == PEER_OK && !is_current(ret));
    if (status != PEER_OK && ret->lock >= 0) { /* it is another's */
        close(ret->lock);
        ret->lock = -1;
    }
    ret->empty = status == PEER_OK && is_empty(path);
    return status;
}

/* What may differ besides paths, under "train.". */
static bool is_free(const char *field)
{
    static const char *const names[] = {"variant", "budget", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(field, names[i]) == 0)
            return true;
    for (int i = 0; lm_train_unread[i]; i++)
        if (strncmp(field, "train.", 6) == 0 && strcmp(field + 6, lm_train_unread[i]) == 0)
            return true;
    return false;
}

enum peer_status lab_run_folder_check(const struct lab_run_folder *folder,
                                      const struct lab_run_config *config)
{
    char path[LAB_PATH], text[1024];
    struct lab_run_config kept, mine;
    bool begun = false, finished = false, saved = false;
    enum peer_status status = look(&begun, folder, "run.yaml");
    if (!begun)
        return status;
    path_in(path, folder, "run.yaml");
    status = lab_run_config_read(&kept, folder->ctx, path);
    if (status != PEER_OK)
        return status;
    lab_run_config_copy(&mine, config);
    status = lab_run_config_everywhere(&kept, folder->ctx);
    if (status == PEER_OK)
        status = lab_run_config_everywhere(&mine, folder->ctx);
    if (status == PEER_OK)
        status = look(&finished, folder, "result.json");
    if (status == PEER_OK)
        status = look(&saved, folder, "checkpoint.safetensors");
    if (status != PEER_OK)
        return status;
    /* A checkpoint that is carried on from knows the checksum of its data, wherever they are. Of
     * what has ended only data that are gone may be elsewhere now, and its result knows theirs. */
    bool moved = finished && strcmp(kept.data, mine.data) != 0 && !lab_yaml_place_exists(kept.data);
    if (moved || (saved && !finished))
        memcpy(kept.data, mine.data, sizeof kept.data);
    if (*kept.init && *mine.init && *mine.init_crc32 &&
        strcmp(kept.init_crc32, mine.init_crc32) == 0)
        memcpy(kept.init, mine.init, sizeof kept.init);
    status = lab_config_difference(text, sizeof text, folder->ctx, &kept, &mine, is_free);
    if (status == PEER_OK && !*text && moved)
        return lab_same_text(folder->ctx, folder->path, &mine);
    if (status != PEER_OK || !*text)
        return status;
    return peer_fail(folder->ctx, PEER_ERR_ARGUMENT,
                     "%s: the folder holds another run: %s; choose a new folder", path, text);
}

enum peer_status lab_run_folder_begin(struct lab_run_folder *folder,
                                      const struct lab_run_config *config)
{
    char path[LAB_PATH];
    struct lab_run_config kept;
    path_in(path, folder, "run.yaml");
    lab_run_config_copy(&kept, config);
    bool there = false;
    enum peer_status status = look(&there, folder, "run.yaml");
    if (status == PEER_OK)
        status = lab_run_config_everywhere(&kept, folder->ctx);
    if (status != PEER_OK)
        return status;
    char *text = lab_run_config_text(&kept, false), *old = NULL;
    if (!text)
        return peer_fail(folder->ctx, PEER_ERR_MEMORY, "%s: no memory to write it", path);
    if (there)
        old = lab_read_file(folder->ctx, path);
    if (!old || strcmp(old, text) != 0)
        status = lab_write_file(folder->ctx, path, text, strlen(text));
    folder->begun = folder->begun || status == PEER_OK;
    free(old);
    free(text);
    return status;
}

/* Removes what the refused run has put into what was empty, and nothing else: others may have begun
 * to use the folder. The lock is last. */
static void remove_contents(const struct lab_run_folder *folder)
{
    char path[LAB_PATH];
    path_in(path, folder, "tokenizer");
    lab_remove_tree(path);
    path_in(path, folder, "lock");
    unlink(path);
    if (folder->made)
        rmdir(folder->path);
}

void lab_run_folder_close(struct lab_run_folder *folder)
{
    if (folder->lock < 0)
        return;
    if (!folder->begun && folder->empty)
        remove_contents(folder);
    close(folder->lock);
    folder->lock = -1;
}
