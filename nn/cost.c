/* SPDX-License-Identifier: MIT */
#include "nn/cost.h"

#include <stddef.h>

const char *const peer_part_names[] = {"query", "scores",    "selection",  "experts", "output",
                                       "dense", "attention", "vocabulary", NULL};

void peer_cost_add(struct peer_cost *sum, const struct peer_cost *cost)
{
    sum->params_total += cost->params_total;
    sum->params_router += cost->params_router;
    sum->params_experts += cost->params_experts;
    sum->table_rows += cost->table_rows;
    sum->table_values += cost->table_values;
    sum->table_segments += cost->table_segments;
    sum->table_bytes += cost->table_bytes;
    sum->params_active += cost->params_active;
    for (int part = 0; part < PEER_PART_COUNT; part++) {
        sum->forward[part] += cost->forward[part];
        sum->backward[part] += cost->backward[part];
    }
    sum->bytes_forward += cost->bytes_forward;
    sum->bytes_train += cost->bytes_train;
}

void peer_cost_add_rows(struct peer_cost *cost, double used, double row_bytes, double moment)
{
    cost->bytes_forward += used * row_bytes;
    cost->bytes_train +=
        PEER_STEP_PASSES_ROWS * used * row_bytes + PEER_STEP_PASSES_MOMENTS * moment;
}

double peer_cost_forward(const struct peer_cost *cost)
{
    double sum = 0;
    for (int part = 0; part < PEER_PART_COUNT; part++)
        sum += cost->forward[part];
    return sum;
}

double peer_cost_train(const struct peer_cost *cost)
{
    double sum = peer_cost_forward(cost);
    for (int part = 0; part < PEER_PART_COUNT; part++)
        sum += cost->backward[part];
    return sum;
}
