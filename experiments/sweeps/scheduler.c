/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/scheduler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/base/process.h"
#include "experiments/cli/command.h"
#include "experiments/cli/progress.h"
#include "experiments/runs/run.h"

enum { MAX_JOBS = 256, POLL_MILLISECONDS = 200, LINE = 256 };

struct child {
    pid_t pid;   /* 0 = free */
    int output;  /* the pipe of its progress lines */
    int64_t run; /* index in the plan */
    double started;
    double share; /* done of its FLOPs, 0 ... 1 */
    char line[LINE];
    size_t used;
};

struct state {
    struct peer_ctx *ctx;
    struct lab_store *store;
    const struct lab_plan *plan;
    const struct lab_schedule *schedule;
    int64_t *ids; /* [count] in the store */
    bool *open;   /* [count], still to be run */
    struct child children[MAX_JOBS];
    int64_t running;
    double memory; /* of the running ones */
    double flops_done, flops_all;
    struct lab_progress progress;
    struct lab_schedule_result result;
};

static void run_folder(char *path, const struct state *s, int64_t run)
{
    snprintf(path, LAB_PATH, "%s/runs/%06lld", s->schedule->folder, (long long)s->ids[run]);
}

static enum peer_status write_config(const struct state *s, int64_t run, const char *folder)
{
    char path[LAB_PATH + 16], name[32];
    struct lab_output output;
    snprintf(name, sizeof name, "runs/%06lld", (long long)s->ids[run]);
    enum peer_status status = lab_output_folder(s->ctx, s->schedule->folder, "runs");
    if (status == PEER_OK)
        status = lab_output_folder(s->ctx, s->schedule->folder, name);
    snprintf(path, sizeof path, "%s/planned.yaml", folder);
    if (status == PEER_OK)
        status = lab_output_open(&output, s->ctx, path);
    if (status != PEER_OK)
        return status;
    /* Errors of writing stay in the stream. */
    status = lab_run_config_write_everywhere(output.file, s->ctx, &s->plan->runs[run].config);
    return lab_output_close(&output, status);
}

/* In the child: becomes `peerlab train`. Only async-signal-safe calls. */
static void become_run(char *const argv[], int output, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(output, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127);
    setpgid(0, 0); /* Ctrl-C reaches the parent, which tells the children */
    lab_process_reset_signals();
    execv("/proc/self/exe", argv);
    _exit(127);
}

static enum peer_status start(struct state *s, int64_t run)
{
    char folder[LAB_PATH], config[LAB_PATH + 16], log_path[LAB_PATH + 16], threads[24];
    run_folder(folder, s, run);
    enum peer_status status = write_config(s, run, folder);
    if (status == PEER_OK)
        status = lab_store_set(s->store, s->ids[run], LAB_RUNNING, NULL, folder);
    if (status != PEER_OK)
        return status;
    snprintf(config, sizeof config, "%s/planned.yaml", folder);
    snprintf(log_path, sizeof log_path, "%s/log.txt", folder);
    snprintf(threads, sizeof threads, "%lld", (long long)s->schedule->threads);
    bool keep = !s->schedule->keep || s->schedule->keep(s->schedule->user, s->ids[run]);
    char *const argv[] = {"peerlab", "train",     config,
                          "--out",   folder,      "--threads",
                          threads,   "--machine", keep ? NULL : "--discard",
                          NULL};
    int pipe_ends[2] = {-1, -1};
    int log = lab_output_new(log_path);
    pid_t parent = getpid(), pid = -1;
    if (log >= 0 && pipe2(pipe_ends, O_CLOEXEC) == 0)
        pid = fork();
    if (pid == 0)
        become_run(argv, pipe_ends[1], log, parent);
    int reason = errno;
    if (log >= 0)
        close(log);
    if (pipe_ends[1] >= 0)
        close(pipe_ends[1]);
    if (pid < 0) {
        if (pipe_ends[0] >= 0)
            close(pipe_ends[0]);
        return peer_fail(s->ctx, PEER_ERR_IO, "%s: no process for the run: %s", folder,
                         strerror(reason));
    }
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    struct child *child = s->children;
    while (child->pid)
        child++;
    *child = (struct child){.pid = pid, .output = pipe_ends[0], .run = run, .started = lab_now()};
    s->open[run] = false;
    s->running++;
    s->memory += (double)s->plan->runs[run].memory;
    return PEER_OK;
}

/* Starts runs while there is room, in order; a run that can never fit fails. */
static enum peer_status fill(struct state *s)
{
    enum peer_status status = PEER_OK;
    for (int64_t run = 0; run < s->plan->count && status == PEER_OK; run++) {
        if (!s->open[run] || s->running >= s->schedule->jobs)
            continue;
        double need = (double)s->plan->runs[run].memory;
        if (need > s->schedule->memory) {
            char text[200], has[24], wants[24];
            lab_format_bytes(wants, sizeof wants, need);
            lab_format_bytes(has, sizeof has, s->schedule->memory);
            snprintf(text, sizeof text, "needs about %s, more than the %s allowed", wants, has);
            s->open[run] = false;
            s->result.failed++;
            s->flops_all -= s->plan->runs[run].flops;
            status = lab_store_set(s->store, s->ids[run], LAB_FAILED, text, NULL);
        } else if (s->memory + need <= s->schedule->memory) {
            status = start(s, run);
        }
    }
    return status;
}

static void take_line(struct child *child)
{
    long long step, steps;
    child->line[child->used] = 0;
    child->used = 0;
    if (sscanf(child->line, "%lld %lld", &step, &steps) == 2 && steps > 0)
        child->share = (double)step / (double)steps;
}

static void take_output(struct child *child)
{
    char buffer[4096];
    ssize_t got;
    while ((got = read(child->output, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (buffer[i] == '\n')
                take_line(child);
            else if (child->used + 1 < LINE)
                child->line[child->used++] = buffer[i];
        }
}

/* Why a run failed: the signal that killed it, or the last line of its log. */
static void last_words(char *text, size_t size, const char *folder, int wait_status)
{
    char path[LAB_PATH + 16], line[512];
    snprintf(path, sizeof path, "%s/log.txt", folder);
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        snprintf(text, size, "killed by signal %d (%s)", number, strsignal(number));
        return;
    }
    snprintf(text, size, "ended with status %d and no result", WEXITSTATUS(wait_status));
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line)
            snprintf(text, size, "%.250s", line);
    }
    if (file)
        fclose(file);
}

static enum peer_status take_end(struct state *s, struct child *child, int wait_status)
{
    char folder[LAB_PATH], message[256] = "";
    struct lab_result result;
    run_folder(folder, s, child->run);
    double wall = lab_now() - child->started;
    s->result.running_seconds += wall * (double)s->schedule->threads;
    s->running--;
    s->memory -= (double)s->plan->runs[child->run].memory;
    close(child->output);
    child->pid = 0;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == LAB_INTERRUPTED) {
        s->open[child->run] = true; /* to be carried on, unless the sweep is asked to stop too */
        return lab_store_set(s->store, s->ids[child->run], LAB_PENDING, NULL, folder);
    }
    if (WIFEXITED(wait_status) &&
        (WEXITSTATUS(wait_status) == LAB_DONE_OK || WEXITSTATUS(wait_status) == LAB_DID_DIVERGE) &&
        lab_run_result(&result, s->ctx, folder) == PEER_OK) {
        enum lab_state state = result.state;
        snprintf(message, sizeof message, "%s", result.message);
        double trained = result.seconds < wall ? result.seconds : wall; /* here, if it went on */
        s->result.training_seconds += trained * (double)s->schedule->threads;
        lab_result_free(&result);
        s->flops_done += s->plan->runs[child->run].flops;
        s->result.done++;
        s->result.diverged += state == LAB_DIVERGED;
        enum peer_status status =
            lab_store_set(s->store, s->ids[child->run], state, message, folder);
        if (status == PEER_OK && s->schedule->ended)
            s->schedule->ended(s->schedule->user, s->ids[child->run], folder);
        return status;
    }
    last_words(message, sizeof message, folder, wait_status);
    s->result.failed++;
    s->flops_all -= s->plan->runs[child->run].flops;
    return lab_store_set(s->store, s->ids[child->run], LAB_FAILED, message, folder);
}

static enum peer_status hear(struct state *s)
{
    struct pollfd polls[MAX_JOBS];
    nfds_t count = 0;
    for (int i = 0; i < MAX_JOBS; i++)
        if (s->children[i].pid)
            polls[count++] = (struct pollfd){.fd = s->children[i].output, .events = POLLIN};
    poll(polls, count, POLL_MILLISECONDS);
    double done = s->flops_done;
    enum peer_status status = PEER_OK;
    for (int i = 0; i < MAX_JOBS; i++) {
        struct child *child = &s->children[i];
        int wait_status;
        if (!child->pid)
            continue;
        take_output(child);
        double partial = child->share * s->plan->runs[child->run].flops;
        if (waitpid(child->pid, &wait_status, WNOHANG) == child->pid) {
            take_output(child);
            enum peer_status end = take_end(s, child, wait_status);
            status = status == PEER_OK ? end : status;
        } else {
            done += partial;
        }
    }
    char note[64];
    snprintf(note, sizeof note, "%lld of %lld runs done, %lld at work", (long long)s->result.done,
             (long long)s->plan->count, (long long)s->running);
    s->progress.total = s->flops_all;
    lab_progress_update(&s->progress, done > s->flops_done ? done : s->flops_done, note);
    return status;
}

static void tell_children(const struct state *s, int number)
{
    for (int i = 0; i < MAX_JOBS; i++)
        if (s->children[i].pid)
            kill(s->children[i].pid, number);
}

/* Enters the plan in the store; finds what is open. */
static enum peer_status enter(struct state *s)
{
    enum peer_status status = PEER_OK;
    for (int64_t run = 0; run < s->plan->count && status == PEER_OK; run++) {
        enum lab_state state = LAB_PENDING;
        double flops = s->plan->runs[run].flops;
        status = lab_store_add(s->store, &s->ids[run], &s->plan->runs[run].config, flops);
        if (status == PEER_OK)
            status = lab_store_state(s->store, s->ids[run], &state);
        s->open[run] = state == LAB_PENDING;
        if (state == LAB_FAILED) {
            s->result.failed++;
            continue;
        }
        s->flops_all += flops;
        if (!s->open[run]) {
            s->flops_done += flops;
            s->result.done++;
            s->result.diverged += state == LAB_DIVERGED;
        }
    }
    return status;
}

static enum peer_status work(struct state *s)
{
    bool told = false;
    enum peer_status status = enter(s);
    if (status == PEER_OK)
        lab_progress_start(&s->progress, s->plan->name, "FLOP", s->flops_all, s->flops_done);
    while (status == PEER_OK) {
        bool stop = s->schedule->stop && s->schedule->stop(NULL);
        if (!stop)
            status = fill(s);
        if (status != PEER_OK || s->running == 0)
            break;
        if (stop && !told) {
            tell_children(s, SIGTERM);
            told = true;
        }
        status = hear(s);
    }
    if (status != PEER_OK && !told) /* the store refuses: let the children save their work */
        tell_children(s, SIGTERM);
    for (int i = 0; i < MAX_JOBS; i++)
        if (s->children[i].pid)
            waitpid(s->children[i].pid, NULL, 0);
    lab_progress_end(&s->progress);
    enum peer_status in_place = lab_store_in_place(s->store);
    if (in_place != PEER_OK) /* whatever else went wrong, this was first */
        return in_place;
    if (status == PEER_OK && s->schedule->stop && s->schedule->stop(NULL))
        status =
            peer_fail(s->ctx, PEER_ERR_STOPPED, "stopped; the same command carries on from here");
    return status;
}

enum peer_status lab_schedule(struct lab_schedule_result *ret, struct peer_ctx *ctx,
                              struct lab_store *store, const struct lab_plan *plan,
                              const struct lab_schedule *schedule)
{
    struct state *s = calloc(1, sizeof *s);
    int64_t *ids = calloc((size_t)plan->count + 1, sizeof *ids);
    bool *open = calloc((size_t)plan->count + 1, sizeof *open);
    enum peer_status status;
    if (s && ids && open) {
        struct lab_schedule bounded = *schedule;
        if (bounded.jobs > MAX_JOBS)
            bounded.jobs = MAX_JOBS;
        *s = (struct state){.ctx = ctx,
                            .store = store,
                            .plan = plan,
                            .schedule = &bounded,
                            .ids = ids,
                            .open = open};
        double started = lab_now();
        status = work(s);
        s->result.seconds = lab_now() - started;
        s->result.core_seconds =
            s->result.seconds * (double)(s->schedule->jobs * s->schedule->threads);
        s->result.left = plan->count - s->result.done - s->result.failed;
        *ret = s->result;
    } else {
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory to schedule %lld runs",
                           (long long)plan->count);
    }
    free(open);
    free(ids);
    free(s);
    return status;
}
