/* SPDX-License-Identifier: MIT */
#include "experiments/study/part_seeds.h"

#include <math.h>

/* The sizes of a budget, ascending. */
struct sizes {
    int64_t count, size[LAB_STUDY_SIZES];
};

static struct sizes sizes_at(const struct lab_part *part, int64_t budget)
{
    struct sizes sizes = {0};
    for (int64_t size = 0; size < part->sizes; size++)
        if (lab_study_planned(part, size, budget))
            sizes.size[sizes.count++] = size;
    return sizes;
}

/* The place in the list with the lowest mean; the middle where nothing is known. */
static int64_t best_place(const struct lab_part_rows *rows, int variant, const struct sizes *sizes,
                          int64_t budget)
{
    int64_t best = sizes->count / 2;
    double lowest = INFINITY;
    for (int64_t i = 0; i < sizes->count; i++) {
        double mean = lab_part_mean(rows, variant, sizes->size[i], budget, NULL);
        if (mean < lowest) {
            lowest = mean;
            best = i;
        }
    }
    return best;
}

static bool has_row(const struct lab_part_rows *rows, const struct lab_point *point)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant == point->variant && row->size == point->size &&
            row->budget == point->budget && row->seed == point->seed)
            return true;
    }
    return false;
}

int64_t lab_part_seeds(struct lab_point *ret, const struct lab_part_rows *rows, const int64_t *seed,
                       int64_t seeds)
{
    const struct lab_part *part = rows->part;
    int64_t count = 0;
    for (int64_t i = 1; i < seeds; i++)
        for (int64_t b = 0; b < part->budgets; b++)
            for (int64_t v = 0; v < part->variants && i < lab_study_seeds(part, b, seeds); v++) {
                const struct sizes sizes = sizes_at(part, b);
                int64_t best = best_place(rows, part->variant[v], &sizes, b);
                for (int64_t s = best - 1; s <= best + 1; s++) {
                    if (s < 0 || s >= sizes.count)
                        continue;
                    ret[count] = (struct lab_point){part->variant[v], sizes.size[s], b, seed[i]};
                    count += !has_row(rows, &ret[count]);
                }
            }
    return count;
}
