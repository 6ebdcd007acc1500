/* SPDX-License-Identifier: MIT */
#include "nn/simd.h"

/* Rows taken together: they share the loads of x or y, and their misses overlap. */
enum { GROUP = 4 };

/* Rows between a row's use and its prefetch, at most. */
enum { DISTANCE = 12 };

enum { LINE = 16 }; /* floats in a cache line */

/* What remains to be prefetched while a group is worked on. */
struct prefetch {
    const char *line[GROUP]; /* next cache line of each row */
    int64_t lines;           /* still to come, of each */
    int rows;
};

/* Valid rows of a group, where their results go, and the rows that are needed later. */
struct group {
    const float *row[GROUP];
    int64_t slot[GROUP];
    int rows;
    struct prefetch later;
};

/* Collects up to GROUP rows from ids[*j] on and moves *j past them. */
static inline struct group next_group(const float *table, int64_t stride, const int32_t *ids,
                                      int64_t m, int64_t ahead, int64_t *j)
{
    struct group group = {.rows = 0};
    int64_t distance = m < DISTANCE ? m : DISTANCE;
    group.later.lines = (stride + LINE - 1) / LINE;
    for (; *j < m && group.rows < GROUP; ++*j) {
        int64_t later = *j + distance;
        if (later < m + ahead && ids[later] >= 0 && group.later.rows < GROUP)
            group.later.line[group.later.rows++] = (const char *)(table + ids[later] * stride);
        if (ids[*j] < 0)
            continue;
        group.row[group.rows] = table + ids[*j] * stride;
        group.slot[group.rows++] = *j;
    }
    return group;
}

/* Brings the next `lines` cache lines of each later row to the second-level cache. */
static inline void prefetch_some(struct prefetch *later, int64_t lines)
{
    lines = lines < later->lines ? lines : later->lines;
    for (int r = 0; r < later->rows; r++) {
        for (int64_t l = 0; l < lines; l++)
            _mm_prefetch(later->line[r] + 64 * l, _MM_HINT_T1);
        later->line[r] += 64 * lines;
    }
    later->lines -= lines;
}

/* Two sums per row, the same whatever the rows are grouped with. */
static inline __attribute__((always_inline)) void dot(float *out, struct group *group, int rows,
                                                      int64_t lines, const float *x, int64_t D)
{
    vec even[GROUP], odd[GROUP];
    for (int r = 0; r < rows; r++)
        even[r] = odd[r] = vec_set(0);
    int64_t i = 0;
    for (; i + 2 * VEC <= D; i += 2 * VEC) {
        vec x0 = vec_load(x + i), x1 = vec_load(x + i + VEC);
        for (int r = 0; r < rows; r++) {
            even[r] = vec_fma(vec_load(group->row[r] + i), x0, even[r]);
            odd[r] = vec_fma(vec_load(group->row[r] + i + VEC), x1, odd[r]);
        }
        prefetch_some(&group->later, lines);
    }
    if (i + VEC <= D) {
        for (int r = 0; r < rows; r++)
            even[r] = vec_fma(vec_load(group->row[r] + i), vec_load(x + i), even[r]);
        i += VEC;
    }
    if (i < D)
        for (int r = 0; r < rows; r++)
            odd[r] = vec_fma(vec_load_first(group->row[r] + i, D - i),
                             vec_load_first(x + i, D - i), odd[r]);
    prefetch_some(&group->later, group->later.lines);
    for (int r = 0; r < rows; r++)
        out[group->slot[r]] = vec_sum(vec_add(even[r], odd[r]));
}

/* Cache lines of each later row per step of `step` columns, so that all are asked for by the end
 * of a row. */
static int64_t lines_per_step(int64_t stride, int64_t D, int64_t step)
{
    int64_t steps = D / step > 0 ? D / step : 1;
    return ((stride + LINE - 1) / LINE + steps - 1) / steps;
}

/* The number of rows as a constant, so that each row's sums stay in registers. */
#define BY_ROWS(function, out, in)                                                                 \
    switch (group.rows) {                                                                          \
    case 4:                                                                                        \
        function(out, &group, 4, lines, in, D);                                                    \
        break;                                                                                     \
    case 3:                                                                                        \
        function(out, &group, 3, lines, in, D);                                                    \
        break;                                                                                     \
    case 2:                                                                                        \
        function(out, &group, 2, lines, in, D);                                                    \
        break;                                                                                     \
    case 1:                                                                                        \
        function(out, &group, 1, lines, in, D);                                                    \
        break;                                                                                     \
    }

void ISA(peer_rows_dot)(float *out, const float *table, int64_t stride, const int32_t *ids,
                        int64_t m, int64_t ahead, const float *x, int64_t D)
{
    int64_t lines = lines_per_step(stride, D, 2 * VEC);
    for (int64_t j = 0; j < m; j++)
        if (ids[j] < 0)
            out[j] = 0;
    for (int64_t j = 0; j < m;) {
        struct group group = next_group(table, stride, ids, m, ahead, &j);
        BY_ROWS(dot, out, x)
    }
}

static inline __attribute__((always_inline)) void axpy(float *y, struct group *group, int rows,
                                                       int64_t lines, const float *coef,
                                                       int64_t D)
{
    vec c[GROUP];
    for (int r = 0; r < rows; r++)
        c[r] = vec_set(coef[group->slot[r]]);
    int64_t i = 0;
    for (; i + VEC <= D; i += VEC) {
        vec sum = vec_load(y + i);
        for (int r = 0; r < rows; r++)
            sum = vec_fma(c[r], vec_load(group->row[r] + i), sum);
        vec_store(y + i, sum);
        prefetch_some(&group->later, lines);
    }
    if (i < D) {
        vec sum = vec_load_first(y + i, D - i);
        for (int r = 0; r < rows; r++)
            sum = vec_fma(c[r], vec_load_first(group->row[r] + i, D - i), sum);
        vec_store_first(y + i, sum, D - i);
    }
    prefetch_some(&group->later, group->later.lines);
}

void ISA(peer_rows_axpy)(float *y, const float *table, int64_t stride, const int32_t *ids,
                         int64_t m, int64_t ahead, const float *coef, int64_t D)
{
    int64_t lines = lines_per_step(stride, D, VEC);
    for (int64_t j = 0; j < m;) {
        struct group group = next_group(table, stride, ids, m, ahead, &j);
        BY_ROWS(axpy, y, coef)
    }
}
