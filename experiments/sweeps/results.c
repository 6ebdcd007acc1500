/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/results.h"

#include <math.h>
#include <stdlib.h>

const char *const lab_state_names[] = {"pending", "running", "done", "diverged", "failed", NULL};

struct span {
    double from, to;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

double lab_results_wall_seconds(const struct lab_result *results, int64_t count)
{
    struct span *spans = malloc(((size_t)count + 1) * sizeof *spans);
    int64_t used = 0;
    double sum = 0, covered = 0;
    if (!spans)
        return NAN;
    for (int64_t i = 0; i < count; i++)
        if (results[i].ended > 0 && results[i].seconds > 0)
            spans[used++] = (struct span){(double)results[i].ended - results[i].seconds,
                                          (double)results[i].ended};
    qsort(spans, (size_t)used, sizeof *spans, by_start);
    for (int64_t i = 0; i < used; i++) {
        if (spans[i].to > covered)
            sum += spans[i].to - fmax(spans[i].from, covered);
        covered = fmax(covered, spans[i].to);
    }
    free(spans);
    return sum;
}
