/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/sweep_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/base/output_check.h"
#include "experiments/report/stage.h"
#include "experiments/runs/machine.h"
#include "experiments/sweeps/store_rebuild.h"
#include "lm/dataset.h"

/* Two sweeps in one folder would train the same runs twice. */
static enum peer_status lock(int *ret, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/lock", folder);
    *ret = lab_output_lock(path);
    if (*ret < 0)
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
    if (flock(*ret, LOCK_EX | LOCK_NB) != 0)
        return peer_fail(ctx, PEER_ERR_IO, "%s: another sweep is at work in this folder", folder);
    return PEER_OK;
}

enum peer_status lab_sweep_folder_open(struct lab_sweep_folder *ret, struct peer_ctx *ctx,
                                       const char *folder, bool retry)
{
    struct lab_sweep_folder sweep = {.ctx = ctx, .folder = folder, .lock = -1};
    enum peer_status status = lab_output_check_folder(ctx, folder, LAB_HOLDS_RUN | LAB_HOLDS_DATA);
    if (status == PEER_OK)
        status = lab_make_folder(ctx, folder);
    if (status == PEER_OK)
        status = lock(&sweep.lock, ctx, folder);
    if (status == PEER_OK)
        status = lab_store_open(&sweep.store, ctx, folder, true);
    if (status == PEER_OK && lab_store_empty(sweep.store))
        status = lab_store_rebuild(sweep.store, ctx, folder, &sweep.taken);
    if (status == PEER_OK)
        status = lab_store_recover(sweep.store, retry);
    if (status != PEER_OK) {
        lab_sweep_folder_close(&sweep);
        return status;
    }
    *ret = sweep;
    return PEER_OK;
}

enum peer_status lab_sweep_folder_read(struct lab_sweep_folder *ret, struct peer_ctx *ctx,
                                       const char *folder)
{
    struct lab_sweep_folder sweep = {.ctx = ctx, .folder = folder, .lock = -1};
    enum peer_status status = lab_store_open(&sweep.store, ctx, folder, false);
    if (status == PEER_OK)
        *ret = sweep;
    return status;
}

void lab_sweep_folder_close(struct lab_sweep_folder *sweep)
{
    lab_store_close(&sweep->store);
    if (sweep->folder && sweep->lock >= 0)
        close(sweep->lock);
    *sweep = (struct lab_sweep_folder){.lock = -1};
}

/* All programs that have trained here, the latest last; the first ones are dropped where the list
 * gets long. */
static enum peer_status add_revision(struct lab_sweep_folder *sweep, char *text, size_t size,
                                     const char *revision)
{
    char *earlier;
    enum peer_status status = lab_store_fact(&earlier, sweep->store, "revision");
    const char *from = earlier ? earlier : "";
    while (strlen(from) + strlen(revision) + 3 > size && strstr(from, ", "))
        from = strstr(from, ", ") + 2;
    bool known = strstr(from, revision);
    snprintf(text, size, "%s%s%s", from, *from && !known ? ", " : "", known ? "" : revision);
    free(earlier);
    return status;
}

enum peer_status lab_sweep_folder_describe(struct lab_sweep_folder *sweep,
                                           const struct lab_plan *plan, const char *revision,
                                           const char *command)
{
    struct lab_sweep_info info = {.config = plan->text ? plan->text : ""};
    const struct lab_run_config *first = &plan->runs[0].config;
    struct lm_dataset data;
    enum peer_status status =
        lm_dataset_open(&data, sweep->ctx, plan->data, first->model.vocab, first->text.dtype);
    if (status != PEER_OK)
        return status;
    snprintf(info.name, sizeof info.name, "%s", plan->name);
    status = add_revision(sweep, info.revision, sizeof info.revision, revision);
    lab_machine_text(info.machine, sizeof info.machine);
    snprintf(info.data, sizeof info.data,
             "%s: vocabulary %lld, %lld training and %lld validation tokens", data.name,
             (long long)data.vocab, (long long)lm_corpus_tokens(data.train),
             (long long)(data.valid ? lm_corpus_tokens(data.valid) : 0));
    snprintf(info.command, sizeof info.command, "%s", command);
    lm_dataset_close(&data);
    return status == PEER_OK ? lab_store_set_info(sweep->store, &info) : status;
}

enum peer_status lab_sweep_folder_train(struct lab_schedule_result *ret,
                                        struct lab_sweep_folder *sweep, const struct lab_plan *plan,
                                        const struct lab_jobs *jobs)
{
    int64_t threads = plan->threads ? plan->threads : 1;
    int64_t most = lab_machine_cores() / threads;
    if (most < 1)
        most = 1;
    struct lab_schedule schedule = {.folder = sweep->folder,
                                    .jobs = jobs->jobs ? jobs->jobs : most,
                                    .threads = threads,
                                    .memory = jobs->memory > 0 ? jobs->memory
                                                               : 0.9 * lab_machine_memory(),
                                    .stop = jobs->stop,
                                    .ended = jobs->ended,
                                    .keep = jobs->keep,
                                    .user = jobs->user};
    return lab_schedule(ret, sweep->ctx, sweep->store, plan, &schedule);
}
