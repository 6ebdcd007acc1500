/* SPDX-License-Identifier: MIT */
#include "experiments/study/job_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/stage.h"

static enum peer_status fail(const struct lab_job_list *list, const char *name)
{
    return peer_fail(list->sweep->ctx, PEER_ERR_IO, "%s/%s: %s", list->sweep->folder, name,
                     strerror(errno));
}

enum peer_status lab_job_list_open(struct lab_job_list *ret, struct lab_sweep_folder *sweep)
{
    char path[LAB_PATH + 16];
    struct lab_job_list list = {.sweep = sweep};
    snprintf(path, sizeof path, "%s/jobs.txt", sweep->folder);
    if (!(list.file = fopen(path, "w")))
        return fail(&list, "jobs.txt");
    *ret = list;
    return PEER_OK;
}

static bool listed(const struct lab_job_list *list, int64_t id)
{
    for (int64_t i = 0; i < list->count; i++)
        if (list->ids[i] == id)
            return true;
    return false;
}

static enum peer_status write_config(const struct lab_job_list *list, int64_t id,
                                     const struct lab_plan_run *run)
{
    char path[LAB_PATH + 48], name[48];
    snprintf(path, sizeof path, "%s/runs/%06lld", list->sweep->folder, (long long)id);
    enum peer_status status = lab_make_folder(list->sweep->ctx, path);
    if (status != PEER_OK)
        return status;
    snprintf(name, sizeof name, "runs/%06lld/planned.yaml", (long long)id);
    snprintf(path, sizeof path, "%s/%s", list->sweep->folder, name);
    FILE *file = fopen(path, "w");
    bool written = file && lab_run_config_write(file, &run->config);
    if ((file && fclose(file) != 0) || !written)
        return fail(list, name);
    return PEER_OK;
}

enum peer_status lab_job_list_add(struct lab_job_list *list, int64_t id,
                                  const struct lab_plan_run *run)
{
    if (listed(list, id))
        return PEER_OK;
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 64;
        int64_t *ids = realloc(list->ids, (size_t)capacity * sizeof *ids);
        if (!ids)
            return peer_fail(list->sweep->ctx, PEER_ERR_MEMORY, "no memory for %lld jobs",
                             (long long)capacity);
        list->ids = ids;
        list->capacity = capacity;
    }
    struct peer_cost cost = {0};
    lm_config_cost(&cost, &run->config.model, run->config.train.length);
    list->ids[list->count++] = id;
    list->flops += run->flops;
    list->tokens += (double)run->tokens;
    list->memory = run->memory > list->memory ? run->memory : list->memory;
    list->disk += 3 * sizeof(float) * (size_t)cost.params_total;
    fprintf(list->file, "peerlab train %s/runs/%06lld/planned.yaml --out %s/runs/%06lld\n",
            list->sweep->folder, (long long)id, list->sweep->folder, (long long)id);
    return write_config(list, id, run);
}

enum peer_status lab_job_list_close(struct lab_job_list *list)
{
    bool failed = list->file && ferror(list->file);
    failed |= list->file && fclose(list->file) != 0;
    free(list->ids);
    list->ids = NULL;
    list->file = NULL;
    return failed ? fail(list, "jobs.txt") : PEER_OK;
}
