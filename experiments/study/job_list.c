/* SPDX-License-Identifier: MIT */
#include "experiments/study/job_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/runs/shell_word.h"

enum peer_status lab_job_list_open(struct lab_job_list *ret, struct lab_sweep_folder *sweep,
                                   bool only_count)
{
    char path[LAB_PATH + 16];
    enum peer_status status = PEER_OK;
    *ret = (struct lab_job_list){.sweep = sweep, .only_count = only_count};
    snprintf(path, sizeof path, "%s/jobs.txt", sweep->folder);
    if (!only_count)
        status = lab_output_open(&ret->output, sweep->ctx, path);
    return status;
}

/* The config as text, NUL-terminated and malloc()ed; NULL without memory. */
static char *config_text(const struct lab_plan_run *run, size_t *size)
{
    struct lab_memory memory;
    if (!lab_memory_open(&memory))
        return NULL;
    lab_run_config_write(memory.file, &run->config);
    return lab_memory_close(&memory, size);
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

/* A run's folder as a shell reads it. */
static void write_path(FILE *file, const char *folder, int64_t id)
{
    char path[LAB_PATH + 32], word[4 * sizeof path];
    snprintf(path, sizeof path, "%s/runs/%06lld", folder, (long long)id);
    lab_shell_word(word, sizeof word, path);
    fputs(word, file);
}

static enum peer_status write_job(struct lab_job_list *list, int64_t id, bool keep,
                                  const char *text, size_t size)
{
    char path[LAB_PATH + 48];
    const char *folder = list->sweep->folder;
    enum peer_status status = lab_output_folder(list->sweep->ctx, folder, "runs");
    snprintf(path, sizeof path, "runs/%06lld", (long long)id);
    if (status == PEER_OK)
        status = lab_output_folder(list->sweep->ctx, folder, path);
    if (status != PEER_OK)
        return status;
    fputs("peerlab train ", list->output.file);
    write_path(list->output.file, folder, id);
    fputs("/planned.yaml --out ", list->output.file);
    write_path(list->output.file, folder, id);
    fputs(keep ? "\n" : " --discard\n", list->output.file);
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

enum peer_status lab_job_list_close(struct lab_job_list *list, enum peer_status status)
{
    free(list->keys);
    list->keys = NULL;
    return lab_output_close(&list->output, status);
}
