/* SPDX-License-Identifier: MIT */
#include "bench/rival.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A rival that says nothing for this long hangs. */
enum { PATIENCE_MS = 600000, LINE = 512, VALUES = 1 << 16 };

struct rival {
    pid_t pid;
    FILE *to, *from;
    bool missing;
    char title[LINE], error[LINE], line[LINE];
};

static void fail(struct rival *r, const char *format, ...)
{
    if (*r->error)
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(r->error, sizeof r->error, format, list);
    va_end(list);
}

/* In the child, between fork and exec: Ctrl-C is for the parent, with whom the child is killed. */
static void become(const char *const argv[], const char *const set[], int in, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    for (; *set; set++)
        putenv((char *)*set);
    execvp(argv[0], (char *const *)argv);
    printf("missing %s: %s\n", argv[0], strerror(errno));
    fflush(stdout);
    _exit(127);
}

static bool connect_child(struct rival *r, const char *const argv[], const char *const set[])
{
    int down[2], up[2];
    if (pipe2(down, O_CLOEXEC))
        return false;
    if (pipe2(up, O_CLOEXEC)) {
        close(down[0]);
        close(down[1]);
        return false;
    }
    r->pid = fork();
    if (r->pid == 0)
        become(argv, set, down[0], up[1]);
    close(down[0]);
    close(up[1]);
    r->to = fdopen(down[1], "w");
    r->from = fdopen(up[0], "r");
    return r->pid > 0 && r->to && r->from;
}

/* Ends the child for good; says how, unless something went wrong before. */
static void reap(struct rival *r)
{
    int result;
    if (r->pid <= 0)
        return;
    while (waitpid(r->pid, &result, 0) < 0 && errno == EINTR)
        continue;
    r->pid = 0;
    if (WIFSIGNALED(result))
        fail(r, "it was ended by signal %d (%s)", WTERMSIG(result), strsignal(WTERMSIG(result)));
    else
        fail(r, "it ended with status %d", WEXITSTATUS(result));
}

void rival_finish(struct rival *r)
{
    if (r->to)
        fclose(r->to);
    if (r->from)
        fclose(r->from);
    r->to = r->from = NULL;
    if (r->pid > 0) {
        kill(r->pid, SIGKILL); /* it may be deaf */
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    r->pid = 0;
}

void rival_stop(struct rival **rival)
{
    if (!rival || !*rival)
        return;
    rival_finish(*rival);
    free(*rival);
    *rival = NULL;
}

/* Reads one line of the child's, without its end, into r->line. */
static bool read_line(struct rival *r)
{
    struct pollfd ready = {.fd = fileno(r->from), .events = POLLIN};
    int count;
    while ((count = poll(&ready, 1, PATIENCE_MS)) < 0 && errno == EINTR)
        continue;
    if (count == 0) {
        kill(r->pid, SIGKILL);
        fail(r, "no answer in %d s", PATIENCE_MS / 1000);
        return false;
    }
    if (!fgets(r->line, sizeof r->line, r->from)) {
        reap(r);
        return false;
    }
    r->line[strcspn(r->line, "\n")] = 0;
    return true;
}

/* Reads the answer, whose first word must be `word`, and returns what follows, or NULL. */
static const char *answer(struct rival *r, const char *word)
{
    size_t length = strlen(word);
    if (*r->error)
        return NULL;
    if (fflush(r->to) == EOF)
        clearerr(r->to); /* its last words tell why it does not listen */
    if (!read_line(r))
        return NULL;
    if (!strncmp(r->line, word, length) && (r->line[length] == ' ' || !r->line[length]))
        return r->line + length + (r->line[length] == ' ');
    r->missing = !strncmp(r->line, "missing ", 8);
    if (r->missing || !strncmp(r->line, "failed ", 7))
        fail(r, "%s", strchr(r->line, ' ') + 1);
    else
        fail(r, "it said «%.200s», expected «%s ...»", r->line, word);
    return NULL;
}

struct rival *rival_start(const char *const argv[], const char *const set[])
{
    struct rival *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    signal(SIGPIPE, SIG_IGN); /* a child that ended is found by the failing write */
    fflush(stdout);           /* what waits there is not the child's to print */
    if (!connect_child(r, argv, set))
        fail(r, "cannot start %s: %s", argv[0], strerror(errno));
    const char *title = answer(r, "hello");
    if (title)
        memmove(r->title, title, strlen(title) + 1);
    return r;
}

static void send_line(struct rival *r, const char *format, ...)
{
    va_list list;
    if (*r->error)
        return;
    va_start(list, format);
    vfprintf(r->to, format, list);
    va_end(list);
}

static void send_bytes(struct rival *r, const void *data, size_t bytes)
{
    if (!*r->error && fwrite(data, 1, bytes, r->to) != bytes)
        answer(r, "listening");
}

static void send_header(struct rival *r, const char *name, const char *type, int64_t n0, int64_t n1)
{
    if (n1)
        send_line(r, "tensor %s %s %" PRId64 " %" PRId64 "\n", name, type, n0, n1);
    else
        send_line(r, "tensor %s %s %" PRId64 "\n", name, type, n0);
}

void rival_option(struct rival *r, const char *key, int64_t value)
{
    send_line(r, "option %s %" PRId64 "\n", key, value);
}

void rival_send_floats(struct rival *r, const char *name, const float *data, int64_t n0, int64_t n1)
{
    send_header(r, name, "f32", n0, n1);
    send_bytes(r, data, sizeof *data * (size_t)(n0 * (n1 ? n1 : 1)));
}

void rival_send_ids(struct rival *r, const char *name, const int32_t *data, int64_t n0, int64_t n1)
{
    send_header(r, name, "i32", n0, n1);
    send_bytes(r, data, sizeof *data * (size_t)(n0 * (n1 ? n1 : 1)));
}

void rival_send_columns(struct rival *r, const char *name, const float *table, int64_t rows,
                        int64_t stride, int64_t width)
{
    send_header(r, name, "f32", rows, width);
    for (int64_t i = 0; i < rows && !*r->error; i++)
        send_bytes(r, table + i * stride, sizeof *table * (size_t)width);
}

bool rival_ready(struct rival *r)
{
    send_line(r, "ready\n");
    return answer(r, "ready");
}

double rival_run(struct rival *r)
{
    send_line(r, "run\n");
    const char *text = answer(r, "seconds");
    if (!text)
        return -1;
    double seconds = strtod(text, NULL);
    if (!(seconds > 0))
        fail(r, "it took «%.100s» seconds", text);
    return seconds > 0 ? seconds : -1;
}

static bool get(struct rival *r, const char *name, const char *type, void *data, int64_t count)
{
    char called[LINE], of[8];
    int64_t n[4] = {1, 1, 1, 1}; /* the shape */
    send_line(r, "get %s\n", name);
    const char *text = answer(r, "tensor");
    if (!text)
        return false;
    int fields = sscanf(text, "%400s %7s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, called, of,
                        &n[0], &n[1], &n[2], &n[3]);
    bool expected = fields >= 2 && !strcmp(called, name) && !strcmp(of, type);
    if (!expected || n[0] * n[1] * n[2] * n[3] != count) {
        fail(r, "it sent «%.200s», expected %" PRId64 " values %s of %s", text, count, type, name);
        return false;
    }
    if (fread(data, 4, (size_t)count, r->from) != (size_t)count)
        reap(r);
    return !*r->error;
}

bool rival_get_floats(struct rival *r, const char *name, float *data, int64_t count)
{
    return get(r, name, "f32", data, count);
}

bool rival_get_ids(struct rival *r, const char *name, int32_t *data, int64_t count)
{
    return get(r, name, "i32", data, count);
}

const char *rival_title(const struct rival *r)
{
    return r->title;
}

const char *rival_error(const struct rival *r)
{
    return r->error;
}

bool rival_missing(const struct rival *r)
{
    return r->missing;
}
