/* SPDX-License-Identifier: MIT */
#include "experiments/study/checkpoints.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

void lab_checkpoints_path(char *path, size_t size, const struct lab_campaign *campaign,
                          const struct lab_result *result)
{
    snprintf(path, size, "%s/runs/%06lld/checkpoint.safetensors", campaign->sweep.folder,
             (long long)result->id);
}

/* Whether a run may be one of the models of table1. */
static bool wanted(const struct lab_campaign *campaign, const struct lab_result *result)
{
    const struct lab_study *study = campaign->study;
    const struct lab_part *part = lab_study_part(study, "fig1");
    if (!part || result->state != LAB_DONE || !isfinite(result->nats) ||
        result->seed != study->seed[0] || result->facts.facts > 0) /* of another text */
        return false;
    bool variant = false, budget = false, size = false;
    for (int64_t i = 0; i < part->variants; i++)
        variant |= strcmp(study->variant[part->variant[i]].name, result->variant) == 0;
    for (int64_t i = 0; i < part->budgets; i++)
        budget |= part->budget[i] == result->budget;
    for (int64_t i = 0; i < part->sizes; i++)
        size |= part->size[i].width == result->width && part->size[i].blocks == result->blocks;
    return variant && budget && size;
}

const struct lab_result *lab_checkpoints_best(const struct lab_campaign *campaign,
                                              const char *variant, double budget)
{
    const struct lab_result *best = NULL;
    for (int64_t i = 0; i < campaign->count; i++) {
        const struct lab_result *result = &campaign->results[i];
        if (strcmp(result->variant, variant) == 0 && result->budget == budget &&
            wanted(campaign, result) && (!best || result->nats < best->nats))
            best = result;
    }
    return best;
}

static void remove_checkpoint(const struct lab_campaign *campaign, const struct lab_result *result)
{
    char path[LAB_PATH];
    lab_checkpoints_path(path, sizeof path, campaign, result);
    unlink(path);
}

void lab_checkpoints_ended(const struct lab_campaign *campaign, const struct lab_result *result)
{
    const struct lab_result *best = lab_checkpoints_best(campaign, result->variant, result->budget);
    if (!wanted(campaign, result) || (best && best->id != result->id && best->nats <= result->nats))
        remove_checkpoint(campaign, result);
    for (int64_t i = 0; wanted(campaign, result) && i < campaign->count; i++) {
        const struct lab_result *other = &campaign->results[i];
        if (other->id != result->id && strcmp(other->variant, result->variant) == 0 &&
            other->budget == result->budget && other->nats > result->nats &&
            wanted(campaign, other))
            remove_checkpoint(campaign, other);
    }
}
