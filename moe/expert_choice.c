/* SPDX-License-Identifier: MIT */
/* Expert choice (Zhou et al. 2022): experts choose tokens. */
#include "moe/router.h"

#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"

struct job {
    const struct peer_kernels *kernels;
    const struct peer_moe_routes *r;
    int64_t from, n, room; /* the group's first token, its tokens, what an expert takes */
    float *columns;        /* [E, 2 T]: an expert's scores, then its largest */
    int32_t *taken;        /* [E, T] */
};

/* Masked tokens have scores below all others and never fit in. */
static void expert_tile(void *arg, int64_t e, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_moe_routes *r = j->r;
    float *scores = j->columns + e * 2 * r->T, *largest = scores + r->T;
    for (int64_t i = 0; i < j->n; i++) {
        int64_t t = j->from + i;
        scores[i] = r->mask && !r->mask[t] ? -INFINITY : r->scores[t * r->E + e];
    }
    j->kernels->topk(largest, j->taken + e * r->T, scores, j->n, j->room);
}

/* Inserts expert e into token t's list of `count`, behind those of no smaller score. */
static void insert(const struct peer_moe_routes *r, int64_t t, int32_t e, int64_t count)
{
    int32_t *choice = r->choice + t * r->R;
    const float *scores = r->scores + t * r->E;
    int64_t i = count;
    for (; i > 0 && scores[choice[i - 1]] < scores[e]; i--)
        choice[i] = choice[i - 1];
    choice[i] = e;
}

static int64_t length(const struct peer_moe_routes *r, int64_t t)
{
    int64_t count = 0;
    while (count < r->R && r->choice[t * r->R + count] >= 0)
        count++;
    return count;
}

void peer_moe_choose_tokens(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                            float factor, int64_t group, float *scratch, int32_t *taken)
{
    int64_t step = group ? group : r->T;
    for (int64_t i = 0; i < r->T * r->R; i++)
        r->choice[i] = -1;
    for (int64_t from = 0; from < r->T; from += step) {
        int64_t n = peer_min(step, r->T - from), whole = n;
        for (int64_t t = from; r->mask && t < from + n; t++)
            whole -= !r->mask[t];
        struct job job = {.kernels = peer_kernels(ctx),
                          .r = r,
                          .from = from,
                          .n = n,
                          .room = peer_moe_room(factor, whole, r->E),
                          .columns = scratch,
                          .taken = taken};
        if (job.room < 1)
            continue;
        peer_parallel(ctx, r->E, expert_tile, &job);
        for (int32_t e = 0; e < r->E; e++)
            for (int64_t i = 0; i < job.room; i++) {
                int64_t t = from + taken[e * r->T + i];
                insert(r, t, e, length(r, t));
            }
    }
    memcpy(r->ids, r->choice, (size_t)(r->T * r->R) * sizeof *r->ids);
}
