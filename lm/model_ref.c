/* SPDX-License-Identifier: MIT */
#include "lm/model_ref.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/attention_ref.h"
#include "lm/loss_ref.h"
#include "nn/layers/norm_ref.h"

const real *REF(lm_value)(const struct REF(lm_pass) * pass, const char *prefix, const char *name)
{
    char full[PEER_PARAM_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct peer_param *param = peer_params_find(pass->list, full);
    return param ? pass->values[param - pass->list->items] : NULL;
}

real *REF(lm_zeros)(int64_t n)
{
    real *x = calloc((size_t)n + 1, sizeof *x);
    assert(x);
    return x;
}

/* Writes y [T, out] = x w^T. */
static void linear(real *y, const real *x, const real *w, int64_t T, int64_t in, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++) {
            real sum = 0;
            for (int64_t i = 0; i < in; i++)
                sum += x[t * in + i] * w[o * in + i];
            COUNT(PEER_PART_ATTENTION, 2 * in);
            y[t * out + o] = sum;
        }
}

/* Arrays of one pass. */
struct arrays {
    real *x, *normed, *branch, *inv_rms, *qkv, *mixed, *weights, *probabilities;
    int32_t *targets;
    uint8_t *mask;
};

static void add_branch(const struct arrays *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a->x[i] += a->branch[i];
}

static void block_forward(const struct REF(lm_pass) * pass, const struct arrays *a, int64_t block)
{
    int64_t T = pass->B * pass->S, D = pass->config->width;
    char prefix[PEER_PARAM_NAME / 2], ffw_prefix[PEER_PARAM_NAME];
    snprintf(prefix, sizeof prefix, "blocks.%lld.", (long long)block);
    snprintf(ffw_prefix, sizeof ffw_prefix, "%sffw.", prefix);
    REF(peer_rmsnorm_forward)
    (a->normed, a->inv_rms, a->x, REF(lm_value)(pass, prefix, "attention.norm.gain"), T, D);
    linear(a->qkv, a->normed, REF(lm_value)(pass, prefix, "attention.qkv"), T, D, 3 * D);
    REF(lm_attention_forward)
    (a->mixed, a->weights, a->qkv, pass->B, pass->S, D, pass->config->heads);
    linear(a->branch, a->mixed, REF(lm_value)(pass, prefix, "attention.out"), T, D, D);
    add_branch(a, T * D);
    REF(peer_rmsnorm_forward)
    (a->normed, a->inv_rms, a->x, REF(lm_value)(pass, ffw_prefix, "norm.gain"), T, D);
    REF(lm_ffw_forward)(a->branch, pass, block, ffw_prefix, a->normed, a->mask);
    add_branch(a, T * D);
}

static real run(const struct REF(lm_pass) * pass, const struct arrays *a, int64_t *scored,
                real *losses)
{
    int64_t T = pass->B * pass->S, D = pass->config->width, V = pass->config->vocab;
    const real *embed = REF(lm_value)(pass, "", "embed");
    for (int64_t t = 0; t < T; t++) {
        a->mask[t] = pass->inputs[t] >= 0;
        a->targets[t] = a->mask[t] ? pass->targets[t] : -1;
        if (a->mask[t])
            memcpy(a->x + t * D, embed + pass->inputs[t] * D, (size_t)D * sizeof *embed);
    }
    for (int64_t i = 0; i < pass->config->blocks; i++)
        block_forward(pass, a, i);
    REF(peer_rmsnorm_forward)
    (a->normed, a->inv_rms, a->x, REF(lm_value)(pass, "", "norm.gain"), T, D);
    return REF(lm_loss_forward)(scored, losses, a->probabilities, a->normed, embed, a->targets, T,
                                V, D);
}

real REF(lm_model_loss)(const struct REF(lm_pass) * pass, int64_t *scored, real *losses)
{
    int64_t T = pass->B * pass->S, D = pass->config->width;
    assert(T >= 1);
    struct arrays a = {.x = REF(lm_zeros)(T * D),
                       .normed = REF(lm_zeros)(T * D),
                       .branch = REF(lm_zeros)(T * D),
                       .inv_rms = REF(lm_zeros)(T),
                       .qkv = REF(lm_zeros)(T * 3 * D),
                       .mixed = REF(lm_zeros)(T * D),
                       .weights = REF(lm_zeros)(T * pass->config->heads * pass->S),
                       .probabilities = REF(lm_zeros)(T * pass->config->vocab),
                       .targets = calloc((size_t)T, sizeof *a.targets),
                       .mask = calloc((size_t)T, 1)};
    assert(a.targets && a.mask);
    real sum = run(pass, &a, scored, losses);
    void *blocks[] = {a.x,     a.normed,  a.branch,        a.inv_rms, a.qkv,
                      a.mixed, a.weights, a.probabilities, a.targets, a.mask};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    return sum;
}
