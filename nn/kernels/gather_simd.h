/* SPDX-License-Identifier: MIT */
/* Internal. The body of rows_dot and rows_axpy for one type of value. Before including it a source
 * defines VALUE, the type; GATHER(name), its kernels' names; and
 *     vec row_load(const VALUE *p)                      VEC values
 *     vec row_load_first(const VALUE *p, int64_t n)     0 <= n < VEC values, then zeros
 */
#ifndef VALUE
#error "nn/kernels/gather_simd.h is the body of the sources gather_*_simd.c"
#endif

/* Rows taken together: they share the loads of x or y, and their misses overlap. */
enum { GROUP = 4 };

/* How many rows before its use a row is prefetched, and how much of it: its first cache lines set
 * the hardware's streams going, which fetch the rest. Asking for every line of a long row is
 * slower, because each request holds a fill buffer until its line has come. */
enum { DISTANCE = 8, LINES = 8, LINE = 64 };

/* Valid rows of a group, and where their results go. */
struct group {
    const VALUE *row[GROUP];
    int64_t slot[GROUP];
    int rows;
};

static inline void prefetch(const VALUE *row, int64_t lines)
{
    for (int64_t l = 0; l < lines; l++)
        _mm_prefetch((const char *)row + l * LINE, _MM_HINT_T1);
}

/* Collects up to GROUP rows from ids[*j] on, moves *j past them, and prefetches the rows that will
 * be needed at that distance. */
static inline struct group next_group(const VALUE *table, int64_t stride, const int32_t *ids,
                                      int64_t m, int64_t ahead, int64_t *j)
{
    struct group group = {.rows = 0};
    int64_t known = m > ahead ? m : ahead, distance = known < DISTANCE ? known : DISTANCE;
    int64_t lines = (stride * (int64_t)sizeof *table + LINE - 1) / LINE;
    for (; *j < m && group.rows < GROUP; ++*j) {
        int64_t later = *j + distance;
        if (later < m + ahead && ids[later] >= 0)
            prefetch(table + ids[later] * stride, lines < LINES ? lines : LINES);
        if (ids[*j] < 0)
            continue;
        group.row[group.rows] = table + ids[*j] * stride;
        group.slot[group.rows++] = *j;
    }
    return group;
}

/* Two sums per row, the same whatever the rows are grouped with. */
static inline __attribute__((always_inline)) void dot(float *out, const struct group *group,
                                                      int rows, const float *x, int64_t D)
{
    vec even[GROUP], odd[GROUP];
    for (int r = 0; r < rows; r++)
        even[r] = odd[r] = vec_set(0);
    int64_t i = 0;
    for (; i + 2 * VEC <= D; i += 2 * VEC) {
        vec x0 = vec_load(x + i), x1 = vec_load(x + i + VEC);
        for (int r = 0; r < rows; r++) {
            even[r] = vec_fma(row_load(group->row[r] + i), x0, even[r]);
            odd[r] = vec_fma(row_load(group->row[r] + i + VEC), x1, odd[r]);
        }
    }
    if (i + VEC <= D) {
        for (int r = 0; r < rows; r++)
            even[r] = vec_fma(row_load(group->row[r] + i), vec_load(x + i), even[r]);
        i += VEC;
    }
    if (i < D)
        for (int r = 0; r < rows; r++)
            odd[r] = vec_fma(row_load_first(group->row[r] + i, D - i), vec_load_first(x + i, D - i),
                             odd[r]);
    for (int r = 0; r < rows; r++)
        out[group->slot[r]] = vec_sum(vec_add(even[r], odd[r]));
}

/* The number of rows as a constant, so that each row's sums stay in registers. */
#define BY_ROWS(function, out, in)                                                                 \
    switch (group.rows) {                                                                          \
    case 4:                                                                                        \
        function(out, &group, 4, in, D);                                                           \
        break;                                                                                     \
    case 3:                                                                                        \
        function(out, &group, 3, in, D);                                                           \
        break;                                                                                     \
    case 2:                                                                                        \
        function(out, &group, 2, in, D);                                                           \
        break;                                                                                     \
    case 1:                                                                                        \
        function(out, &group, 1, in, D);                                                           \
        break;                                                                                     \
    }

void GATHER(peer_rows_dot)(float *out, const VALUE *table, int64_t stride, const int32_t *ids,
                           int64_t m, int64_t ahead, const float *x, int64_t D)
{
    for (int64_t j = 0; j < m; j++)
        if (ids[j] < 0)
            out[j] = 0;
    for (int64_t j = 0; j < m;) {
        struct group group = next_group(table, stride, ids, m, ahead, &j);
        BY_ROWS(dot, out, x)
    }
}

static inline __attribute__((always_inline)) void axpy(float *y, const struct group *group,
                                                       int rows, const float *coef, int64_t D)
{
    vec c[GROUP];
    for (int r = 0; r < rows; r++)
        c[r] = vec_set(coef[group->slot[r]]);
    int64_t i = 0;
    for (; i + VEC <= D; i += VEC) {
        vec sum = vec_load(y + i);
        for (int r = 0; r < rows; r++)
            sum = vec_fma(c[r], row_load(group->row[r] + i), sum);
        vec_store(y + i, sum);
    }
    if (i < D) {
        vec sum = vec_load_first(y + i, D - i);
        for (int r = 0; r < rows; r++)
            sum = vec_fma(c[r], row_load_first(group->row[r] + i, D - i), sum);
        vec_store_first(y + i, sum, D - i);
    }
}

void GATHER(peer_rows_axpy)(float *y, const VALUE *table, int64_t stride, const int32_t *ids,
                            int64_t m, int64_t ahead, const float *coef, int64_t D)
{
    for (int64_t j = 0; j < m;) {
        struct group group = next_group(table, stride, ids, m, ahead, &j);
        BY_ROWS(axpy, y, coef)
    }
}
