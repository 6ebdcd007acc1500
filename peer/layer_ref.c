/* SPDX-License-Identifier: MIT */
#include "peer/layer_ref.h"

#include <string.h>

#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"
#include "peer/config.h"

/* One expert's row: single [u | v], GLU [g | u | v]; `in` is what the activation sees, u or g. */
struct row {
    const real *in, *u, *v;
};

static int64_t row_offset(const struct peer_layer_config *config, int64_t D, int64_t head,
                          int32_t id)
{
    int64_t parts = config->expert == PEER_EXPERT_GLU ? 3 : 2;
    int64_t table = config->tables_per_head ? head : 0;
    return (table * config->experts + id) * parts * D;
}

static struct row row_at(const real *experts, const struct peer_layer_config *config, int64_t D,
                         int64_t head, int32_t id)
{
    const real *row = experts + row_offset(config, D, head, id);
    bool glu = config->expert == PEER_EXPERT_GLU;
    return (struct row){.in = row, .u = glu ? row + D : row, .v = glu ? row + 2 * D : row + D};
}

static real dot(const real *a, const real *b, int64_t D)
{
    real sum = 0;
    for (int64_t i = 0; i < D; i++)
        sum += a[i] * b[i];
    COUNT(PEER_PART_EXPERTS, 2 * D);
    return sum;
}

static void add_scaled(real *y, real scale, const real *x, int64_t D)
{
    for (int64_t i = 0; i < D; i++)
        y[i] += scale * x[i];
    COUNT(PEER_PART_EXPERTS, 2 * D);
}

void REF(peer_layer_forward)(real *y, struct REF(peer_layer_cache) * cache,
                             const struct REF(peer_layer_weights) * weights, const real *x,
                             const uint8_t *mask, int64_t T, int64_t D,
                             const struct peer_layer_config *config, bool train)
{
    int64_t H = config->heads, k = config->kept;
    bool glu = config->expert == PEER_EXPERT_GLU;
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(config, D);
    REF(pkm_retrieval_forward)
    (&cache->retrieval, &weights->retrieval, x, mask, T, &retrieval, train);
    memset(y, 0, (size_t)(T * D) * sizeof *y);
    for (int64_t s = 0; s < T * H * k; s++) {
        int64_t t = s / (H * k), head = s / k % H;
        int32_t id = cache->retrieval.ids[s];
        if (id < 0)
            continue;
        struct row row = row_at(weights->experts, config, D, head, id);
        real hidden;
        cache->pre[s] = dot(row.in, x + t * D, D);
        REF(peer_act_forward)(&hidden, &cache->pre[s], 1, config->activation);
        if (glu) {
            cache->linear[s] = dot(row.u, x + t * D, D);
            hidden *= cache->linear[s];
        }
        add_scaled(y + t * D, cache->retrieval.gates[s] * hidden, row.v, D);
    }
}

/* With e = h v, h = act(a) [times b], z = v.dy:  dgate = h z,  dv = gate h dy,  dh = gate z,
 * da = dh act'(a) [times b],  db = dh act(a);  a, b are linear in x and in their rows. */
void REF(peer_layer_backward)(real *dx, const struct REF(peer_layer_grads) * grads,
                              const struct REF(peer_layer_cache) * cache,
                              const struct REF(peer_layer_weights) * weights, const real *dy,
                              const real *x, const uint8_t *mask, int64_t T, int64_t D,
                              const struct peer_layer_config *config)
{
    int64_t H = config->heads, k = config->kept;
    bool glu = config->expert == PEER_EXPERT_GLU;
    for (int64_t s = 0; s < T * H * k; s++) {
        int64_t t = s / (H * k), head = s / k % H;
        int32_t id = cache->retrieval.ids[s];
        cache->dgates[s] = 0;
        if (id < 0)
            continue;
        struct row row = row_at(weights->experts, config, D, head, id);
        real *drow = grads->experts + row_offset(config, D, head, id);
        real gate = cache->retrieval.gates[s], b = glu ? cache->linear[s] : 1;
        real act, slope;
        REF(peer_act_forward)(&act, &cache->pre[s], 1, config->activation);
        REF(peer_act_slope)(&slope, &cache->pre[s], 1, config->activation);
        real z = dot(row.v, dy + t * D, D);
        cache->dgates[s] = act * b * z;
        real da = gate * z * slope * b;
        add_scaled(drow + (row.v - row.in), gate * act * b, dy + t * D, D);
        add_scaled(drow, da, x + t * D, D);
        add_scaled(dx + t * D, da, row.in, D);
        if (glu) {
            real db = gate * z * act;
            add_scaled(drow + D, db, x + t * D, D);
            add_scaled(dx + t * D, db, row.u, D);
        }
    }
    struct pkm_retrieval_config retrieval = peer_layer_retrieval(config, D);
    REF(pkm_retrieval_backward)
    (dx, &grads->retrieval, &cache->retrieval, &weights->retrieval, cache->dgates, x, mask, T,
     &retrieval);
}
