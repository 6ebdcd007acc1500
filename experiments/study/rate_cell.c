/* SPDX-License-Identifier: MIT */
#include "experiments/study/rate_cell.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_STEPS = 6 }; /* either way from a grid's middle */

int64_t lab_rate_cell_lowest(const struct lab_rate_cell *cell)
{
    int64_t best = -1;
    for (int64_t i = 0; i < cell->probes; i++)
        if (isfinite(cell->loss[i]) && (best < 0 || cell->loss[i] < cell->loss[best]))
            best = i;
    return best;
}

static bool probed(const struct lab_rate_cell *cell, int64_t step)
{
    for (int64_t i = 0; i < cell->probes; i++)
        if (cell->step[i] == step)
            return true;
    return false;
}

int64_t lab_rate_cell_next(const struct lab_rate_cell *cell)
{
    static const int64_t first[] = {0, -1, 1};
    for (int i = 0; i < 3; i++)
        if (!probed(cell, first[i]))
            return first[i];
    int64_t best = lab_rate_cell_lowest(cell), step = 0;
    bool all_diverged = best < 0 && isinf(cell->loss[0]); /* even at the lowest rate */
    if ((best < 0 && !all_diverged) || cell->probes == LAB_PROBES)
        return INT64_MAX;
    if (best <= 0)
        step = cell->step[0] - 1;
    else if (best == cell->probes - 1)
        step = cell->step[best] + 1;
    return step != 0 && llabs(step) <= MOST_STEPS ? step : INT64_MAX;
}

void lab_rate_cell_fit(struct lab_rate_cell *cell)
{
    int64_t i = lab_rate_cell_lowest(cell);
    cell->found = false;
    cell->log2_best = log2(cell->start);
    if (i < 0)
        return;
    cell->log2_best += (double)cell->step[i] * log2(cell->factor);
    if (i == 0 || i == cell->probes - 1 || isnan(cell->loss[i - 1]) || isnan(cell->loss[i + 1]))
        return;
    cell->found = true;
    double left = cell->loss[i - 1] - cell->loss[i], right = cell->loss[i + 1] - cell->loss[i];
    if (isfinite(left) && isfinite(right) && left + right > 0)
        cell->log2_best += 0.5 * (left - right) / (left + right) * log2(cell->factor);
}

void lab_rate_cell_insert(struct lab_rate_cell *cell, int64_t step, double loss)
{
    int64_t i = cell->probes++;
    for (; i > 0 && cell->step[i - 1] > step; i--) {
        cell->step[i] = cell->step[i - 1];
        cell->loss[i] = cell->loss[i - 1];
    }
    cell->step[i] = step;
    cell->loss[i] = loss;
}
