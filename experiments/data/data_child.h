/* SPDX-License-Identifier: MIT */
/* Programs that others wrote, run without a shell. */
#ifndef PEER_EXPERIMENTS_DATA_CHILD_H
#define PEER_EXPERIMENTS_DATA_CHILD_H

#include <sys/types.h>

#include "nn/context.h"

/* How work asks whether to stop, and whether to show its progress on stderr. */
struct lab_work {
    bool (*stopped)(void *user); /* NULL = never */
    void *user;
    bool show;
};

/* PEER_ERR_STOPPED, with a text, where the work is to stop. */
enum peer_status lab_work_check(struct peer_ctx *ctx, const struct lab_work *work);

enum lab_child_pipe { LAB_CHILD_OUTPUT, LAB_CHILD_ERRORS, LAB_CHILD_BOTH };

struct lab_child_setup {
    const char *const *argv;  /* ends with NULL; argv[0] is looked for in PATH */
    const char *folder;       /* where it runs */
    const char *input;        /* file of its standard input; NULL = empty */
    const char *other;        /* file that takes the stream which is not read; NULL = nowhere */
    enum lab_child_pipe pipe; /* what lab_child_read() reads */
    const char *package;      /* Debian's name, for the message when the program is missing; NULL =
                               * a part of Debian itself */
};

struct lab_child {
    struct peer_ctx *ctx;
    const struct lab_work *work;
    const char *name;
    pid_t pid;
    int pipe;
    int result; /* of waitpid(), at the end */
};

/* Errors: PEER_ERR_IO, with the package to install where the program is missing. `setup->argv[0]`
 * and `work` are kept, the rest is not. */
enum peer_status lab_child_start(struct lab_child *ret, struct peer_ctx *ctx,
                                 const struct lab_child_setup *setup, const struct lab_work *work);

/* Reads what the program writes; *got = 0 at its end. Errors: PEER_ERR_STOPPED, PEER_ERR_IO. */
enum peer_status lab_child_read(struct lab_child *child, void *bytes, int64_t room, int64_t *got);

/* Waits for the end; `status` is what went before: other than PEER_OK, the program is ended and
 * `status` returned. *failed = it did not exit with 0. */
enum peer_status lab_child_end(struct lab_child *child, enum peer_status status, bool *failed);

/* Runs a program to its end and keeps the last bytes of what it wrote in text[size]. */
enum peer_status lab_child_run(struct peer_ctx *ctx, const struct lab_child_setup *setup,
                               const struct lab_work *work, char *text, int64_t size, bool *failed);

#endif
