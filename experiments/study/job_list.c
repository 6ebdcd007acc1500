/* SPDX-License-Identifier: MIT */
#include "experiments/study/job_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/stage.h"
#include "experiments/runs/run_result.h"

static enum peer_status fail(const struct lab_job_list *list, const char *name)
{
    return peer_fail(list->sweep->ctx, PEER_ERR_IO, "%s/%s: %s", list->sweep->folder, name,
                     strerror(errno));
}

enum peer_status lab_job_list_open(struct lab_job_list *ret, struct lab_sweep_folder *sweep,
                                   bool only_count)
{
    char path[LAB_PATH + 16];
    struct lab_job_list list = {.sweep = sweep, .only_count = only_count};
    snprintf(path, sizeof path, "%s/jobs.txt", sweep->folder);
    if (!only_count && !(list.file = fopen(path, "w")))
        return fail(&list, "jobs.txt");
    *ret = list;
    return PEER_OK;
}

/* The config as text, NUL-terminated and malloc()ed; NULL without memory. */
static char *config_text(const struct lab_plan_run *run, size_t *size)
{
    char *text = NULL;
    FILE *memory = open_memstream(&text, size);
    bool written = memory && lab_run_config_write(memory, &run->config);
    if (memory && fclose(memory) == 0 && written)
        return text;
    free(text);
    return NULL;
}

/* FNV-1a, 64 bits. */
static uint64_t key_of(const char *text)
{
    uint64_t key = 0xcbf29ce484222325;
    for (; *text; text++)
        key = (key ^ (unsigned char)*text) * 0x100000001b3;
    return key;
}

/* False where the key is there already. */
static enum peer_status take_key(bool *ret, struct lab_job_list *list, uint64_t key)
{
    *ret = false;
    for (int64_t i = 0; i < list->count; i++)
        if (list->keys[i] == key)
            return PEER_OK;
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 64;
        uint64_t *keys = realloc(list->keys, (size_t)capacity * sizeof *keys);
        if (!keys)
            return peer_fail(list->sweep->ctx, PEER_ERR_MEMORY, "no memory for %lld jobs",
                             (long long)capacity);
        list->keys = keys;
        list->capacity = capacity;
    }
    list->keys[list->count++] = key;
    *ret = true;
    return PEER_OK;
}

static enum peer_status write_job(struct lab_job_list *list, int64_t id, bool keep,
                                  const char *text, size_t size)
{
    char path[LAB_PATH + 48];
    const char *folder = list->sweep->folder;
    snprintf(path, sizeof path, "%s/runs/%06lld", folder, (long long)id);
    enum peer_status status = lab_make_folder(list->sweep->ctx, path);
    if (status != PEER_OK)
        return status;
    fprintf(list->file, "peerlab train '%s/runs/%06lld/planned.yaml' --out '%s/runs/%06lld'%s\n",
            folder, (long long)id, folder, (long long)id, keep ? "" : " --discard");
    list->written++;
    snprintf(path, sizeof path, "%s/runs/%06lld/planned.yaml", folder, (long long)id);
    return lab_write_file(list->sweep->ctx, path, text, size);
}

enum peer_status lab_job_list_add(struct lab_job_list *list, int64_t id,
                                  const struct lab_plan_run *run, bool keep)
{
    struct peer_cost cost = {0};
    size_t size = 0;
    bool fresh;
    char *text = config_text(run, &size);
    if (!text)
        return peer_fail(list->sweep->ctx, PEER_ERR_MEMORY, "no memory for a run's config");
    enum peer_status status = take_key(&fresh, list, key_of(text));
    if (status == PEER_OK && fresh) {
        lm_config_cost(&cost, &run->config.model, run->config.train.length);
        list->flops += run->flops;
        list->memory = run->memory > list->memory ? run->memory : list->memory;
        list->disk += (keep ? 3 : 0) * sizeof(float) * (size_t)cost.params_total;
        if (!list->only_count) {
            list->written_flops += run->flops;
            status = write_job(list, id, keep, text, size);
        }
    }
    free(text);
    return status;
}

enum peer_status lab_job_list_close(struct lab_job_list *list)
{
    bool failed = list->file && ferror(list->file);
    failed |= list->file && fclose(list->file) != 0;
    free(list->keys);
    list->keys = NULL;
    list->file = NULL;
    return failed ? fail(list, "jobs.txt") : PEER_OK;
}
