/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/process.h"

enum { LOOK_MILLISECONDS = 100 };

enum peer_status lab_work_check(struct peer_ctx *ctx, const struct lab_work *work)
{
    if (work && work->stopped && work->stopped(work->user))
        return peer_fail(ctx, PEER_ERR_STOPPED, "stopped; nothing was changed");
    return PEER_OK;
}

/* Joins the program's streams with files and with the pipe's writing end. */
static void connect_streams(posix_spawn_file_actions_t *actions,
                            const struct lab_child_setup *setup, int writer)
{
    const char *input = setup->input ? setup->input : "/dev/null";
    const char *other = setup->other ? setup->other : "/dev/null";
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
    posix_spawn_file_actions_addchdir_np(actions, setup->folder);
    posix_spawn_file_actions_addopen(actions, STDIN_FILENO, input, O_RDONLY, 0);
    if (setup->pipe == LAB_CHILD_ERRORS)
        posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, other, flags, 0600);
    else
        posix_spawn_file_actions_adddup2(actions, writer, STDOUT_FILENO);
    if (setup->pipe == LAB_CHILD_OUTPUT)
        posix_spawn_file_actions_addopen(actions, STDERR_FILENO, other, flags, 0600);
    else
        posix_spawn_file_actions_adddup2(actions, writer, STDERR_FILENO);
}

enum peer_status lab_child_start(struct lab_child *ret, struct peer_ctx *ctx,
                                 const struct lab_child_setup *setup, const struct lab_work *work)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return peer_fail(ctx, PEER_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    lab_process_signals(&attributes);
    connect_streams(&actions, setup, ends[1]);
    struct lab_child child = {.ctx = ctx, .work = work, .name = setup->argv[0], .pipe = ends[0]};
    int error = posix_spawnp(&child.pid, setup->argv[0], &actions, &attributes,
                             (char *const *)setup->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (error == 0) {
        *ret = child;
        return PEER_OK;
    }
    close(ends[0]);
    bool missing = error == ENOENT && access(setup->folder, X_OK) == 0;
    if (missing && !setup->package)
        return peer_fail(ctx, PEER_ERR_IO,
                         "the program %s is missing; Debian, Ubuntu and their relatives have it",
                         setup->argv[0]);
    if (missing)
        return peer_fail(ctx, PEER_ERR_IO,
                         "the program %s is missing; it comes with the package %s "
                         "(sudo apt-get install %s)",
                         setup->argv[0], setup->package, setup->package);
    return peer_fail(ctx, PEER_ERR_IO, "cannot run %s in %s: %s", setup->argv[0], setup->folder,
                     strerror(error));
}

enum peer_status lab_child_read(struct lab_child *child, void *bytes, int64_t room, int64_t *got)
{
    for (;;) {
        enum peer_status status = lab_work_check(child->ctx, child->work);
        if (status != PEER_OK)
            return status;
        struct pollfd ready = {.fd = child->pipe, .events = POLLIN};
        int found = poll(&ready, 1, LOOK_MILLISECONDS);
        if (found == 0 || (found < 0 && errno == EINTR))
            continue; /* a signal may come before the wait or end it: so it is looked for */
        ssize_t count = read(child->pipe, bytes, (size_t)room);
        if (count >= 0) {
            *got = count;
            return PEER_OK;
        }
        if (errno != EINTR)
            return peer_fail(child->ctx, PEER_ERR_IO, "cannot read from %s: %s", child->name,
                             strerror(errno));
    }
}

enum peer_status lab_child_end(struct lab_child *child, enum peer_status status, bool *failed)
{
    close(child->pipe);
    const struct lab_work *work = child->work;
    if (status != PEER_OK)
        lab_process_end(child->pid, &child->result);
    else
        lab_process_wait(child->pid, &child->result, work ? work->stopped : NULL,
                         work ? work->user : NULL);
    *failed = child->result != 0;
    return status == PEER_OK ? lab_work_check(child->ctx, work) : status;
}

enum peer_status lab_child_run(struct peer_ctx *ctx, const struct lab_child_setup *setup,
                               const struct lab_work *work, char *text, int64_t size, bool *failed)
{
    struct lab_child child;
    char part[4096];
    int64_t used = 0, got = 1;
    enum peer_status status = lab_child_start(&child, ctx, setup, work);
    if (status != PEER_OK)
        return status;
    while (status == PEER_OK && got > 0) {
        int64_t room = size - 1 < (int64_t)sizeof part ? size - 1 : (int64_t)sizeof part;
        status = lab_child_read(&child, part, room, &got);
        if (status != PEER_OK)
            break;
        int64_t surplus = used + got - (size - 1);
        if (surplus > 0) {
            memmove(text, text + surplus, (size_t)(used - surplus));
            used -= surplus;
        }
        memcpy(text + used, part, (size_t)got);
        used += got;
    }
    text[used] = '\0';
    return lab_child_end(&child, status, failed);
}
