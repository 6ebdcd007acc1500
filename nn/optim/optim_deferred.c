/* SPDX-License-Identifier: MIT */
/* Deferred AdamW: dense AdamW's weights at the price of the touched rows.
 *
 * Let a be the step of a row's last gradient, and m, v its moments after it. A step a + j without a
 * gradient leaves dense AdamW with moments b1^j m and b2^j v, and makes
 *
 *     p = shrink p - (rate b1^j) m / (sqrt(second_scale b2^j) sqrt(v) + eps)
 *
 * with that step's constants. So moments need no work until the next gradient, when they have faded
 * by a power of beta each; and a missed step of the weights costs one fused pass over values that
 * are in the first-level cache, sqrt(v) being taken once. `weight_step` says which step the weights
 * of a row are of. They are brought up to date before they are read (peer_rows_catch_up), before
 * they get a gradient, and, a few rows in each step, before the constants of the steps that they
 * missed leave the ring.
 *
 * Missed steps are made one by one, not in closed form, for two reasons. With eps the sum over j
 * has none (leaving eps out errs where sqrt(v) is not far above it, which it is not for rarely used
 * experts). And so the weights after step t do not depend on when they were brought up to date in
 * between: an evaluation or a checkpoint changes no bit of the run.
 *
 * The update fades like q^j with q = b1 / sqrt(b2). After j = reach, where what is left of the
 * sum is below 2^-24 of the update after the gradient, only the shrinking is done.
 *
 * Error: each missed step rounds as a dense one does (KERNELS.md, adamw), so weights differ from
 * dense AdamW's in exact arithmetic by at most a dense float implementation's bound plus 2^-24 of
 * the largest update per gradient. */
#include "nn/optim/optim_deferred.h"

#include <math.h>

#include "nn/parallel.h"

enum {
    CHUNK = 32,      /* missed steps handed to the kernel at a time */
    ROWS_TILE = 64,  /* rows of a range */
    IDS_TILE = 2048, /* ids to be read */
    AHEAD = 4,       /* ids between a prefetch and its use */
};

/* The slowest fading that the ring holds: see reach_of(). */
static const double most_q = 0.98;

static double fading(const struct peer_optim_config *config)
{
    return config->beta1 / sqrt(config->beta2);
}

/* Least j with sum_{i > j} q^i <= 2^-24 q. */
static int64_t reach_of(double q)
{
    return q > 0 ? (int64_t)ceil(log(ldexp(1 - q, -24)) / log(q)) : 0;
}

enum peer_status peer_optim_history_check(struct peer_ctx *ctx,
                                          const struct peer_optim_config *config)
{
    double q = fading(config);
    if (config->beta1 == 0 || q <= most_q)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "peer_optim_create: deferred AdamW with beta1 = %g and beta2 = %g: "
                     "beta1 / sqrt(beta2) = %g, expected at most %g",
                     config->beta1, config->beta2, q, most_q);
}

void peer_optim_history_init(struct peer_optim_history *h, const struct peer_optim_config *config)
{
    h->reach = config->beta1 == 0 ? 0 : reach_of(fading(config));
    for (int j = 0; j <= PEER_OPTIM_RING; j++) {
        h->fade1[j] = (float)pow(config->beta1, j);
        h->fade2[j] = (float)pow(config->beta2, j);
        h->root_fade[j] = (float)pow(config->beta2, 0.5 * j);
    }
}

void peer_optim_history_add(struct peer_optim_history *h, float lr,
                            const struct peer_adam_step *step)
{
    int64_t at = (h->steps + 1) % PEER_OPTIM_RING;
    h->lr[at] = lr;
    h->rate[at] = step->rate;
    h->root[at] = (float)sqrt(step->second_scale);
}

void peer_optim_fade(struct peer_adam_step *step, const struct peer_optim_table *t, int64_t row,
                     int32_t number)
{
    const struct peer_optim_history *h = t->history;
    int32_t gap = number - t->moment_step[row];
    bool known = gap <= PEER_OPTIM_RING;
    step->beta1 = known ? h->fade1[gap] : (float)pow(t->config->beta1, gap);
    step->beta2 = known ? h->fade2[gap] : (float)pow(t->config->beta2, gap);
    t->moment_step[row] = number;
    atomic_store_explicit(&t->weight_step[row], number, memory_order_relaxed);
}

/* Steps first ... last, in which moments of step `of` still count; of = 0: in which none do. */
static void make_up(const struct peer_optim_table *t, float *p, int64_t row, int64_t first,
                    int64_t last, int64_t of, float *scratch)
{
    const struct peer_optim_history *h = t->history;
    struct peer_adam_missed missed[CHUNK];
    const float *m = NULL, *v = NULL;
    if (first > last)
        return;
    if (of)
        peer_optim_table_moments(&m, &v, t, row, scratch);
    for (int64_t step = first; step <= last;) {
        int64_t count = peer_min(CHUNK, last - step + 1);
        for (int64_t i = 0; i < count; i++, step++) {
            int64_t at = step % PEER_OPTIM_RING, age = of ? step - of : 0;
            missed[i] = (struct peer_adam_missed){
                .shrink = peer_optim_shrink(t->config, t->param, h->lr[at]),
                .rate = h->rate[at] * t->param->lr_scale * h->fade1[age],
                .root = h->root[at] * h->root_fade[age],
            };
        }
        t->kernels->adamw_missed(p, m, v, t->width, t->config->epsilon, missed, count);
    }
}

static bool shrinks(const struct peer_optim_table *t)
{
    return t->param->lr_scale * t->param->decay * t->config->weight_decay > 0;
}

void peer_optim_catch_up_row(const struct peer_optim_table *t, int64_t row, int64_t number,
                             float *scratch)
{
    _Atomic int32_t *weight_step = &t->weight_step[row];
    if (atomic_load_explicit(weight_step, memory_order_relaxed) == number)
        return;
    int64_t from = atomic_exchange_explicit(weight_step, (int32_t)number, memory_order_relaxed);
    int64_t of = t->moment_step[row], moving = of ? peer_min(number, of + t->history->reach) : 0;
    float *p = t->param->data + row * t->width;
    if (from >= number)
        return;
    make_up(t, p, row, from + 1, moving, of, scratch);
    if (shrinks(t))
        make_up(t, p, row, (moving > from ? moving : from) + 1, number, 0, NULL);
}

struct range_job {
    const struct peer_optim_table *table;
    int64_t begin, end;
    const int32_t *ids; /* or NULL: rows begin ... end-1 themselves */
};

static void range_tile(void *job, int64_t tile, int thread)
{
    const struct range_job *j = job;
    const struct peer_optim_table *t = j->table;
    float *scratch = t->scratch + thread * t->scratch_stride;
    int64_t begin = j->begin + tile * ROWS_TILE, end = peer_min(begin + ROWS_TILE, j->end);
    for (int64_t row = begin; row < end; row++)
        peer_optim_catch_up_row(t, row, t->history->steps, scratch);
}

void peer_optim_catch_up_range(const struct peer_optim_table *t, int64_t begin, int64_t end)
{
    struct range_job job = {.table = t, .begin = begin, .end = end};
    peer_parallel(t->ctx, peer_tiles(end - begin, ROWS_TILE), range_tile, &job);
}

static void ids_tile(void *job, int64_t tile, int thread)
{
    const struct range_job *j = job;
    const struct peer_optim_table *t = j->table;
    float *scratch = t->scratch + thread * t->scratch_stride;
    int64_t begin = tile * IDS_TILE, end = peer_min(begin + IDS_TILE, j->end);
    for (int64_t i = begin; i < end; i++) {
        int32_t next = i + AHEAD < end ? j->ids[i + AHEAD] : -1;
        if (next >= 0 &&
            atomic_load_explicit(&t->weight_step[next], memory_order_relaxed) != t->history->steps)
            peer_optim_table_prefetch(t, next);
        if (j->ids[i] >= 0)
            peer_optim_catch_up_row(t, j->ids[i], t->history->steps, scratch);
    }
}

void peer_optim_catch_up_ids(void *table, const int32_t *ids, int64_t n)
{
    const struct peer_optim_table *t = table;
    struct range_job job = {.table = t, .end = n, .ids = ids};
    peer_parallel(t->ctx, peer_tiles(n, IDS_TILE), ids_tile, &job);
}

void peer_optim_sweep(const struct peer_optim_table *t)
{
    int64_t share = t->rows / PEER_OPTIM_RING + 1, at = t->history->steps % PEER_OPTIM_RING;
    peer_optim_catch_up_range(t, peer_min(at * share, t->rows),
                              peer_min((at + 1) * share, t->rows));
}

void peer_optim_deferred_restart(const struct peer_optim_table *t, int64_t steps)
{
    for (int64_t row = 0; row < t->rows; row++) {
        bool sane = t->moment_step[row] >= 0 && t->moment_step[row] <= steps;
        t->moment_step[row] = sane ? t->moment_step[row] : (int32_t)steps;
        atomic_store_explicit(&t->weight_step[row], (int32_t)steps, memory_order_relaxed);
    }
}
