/* SPDX-License-Identifier: MIT */
#include "tests/support/synthetic.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"

static const char *const names[] = {"dense",  "pkm-4k",   "peer-4k", "peer-16k",
                                    "swiglu", "peer-64k", "pkm-16k", "peer-256k"};
static const char *const types[] = {"dense", "pkm", "peer", "peer", "dense", "peer", "pkm", "peer"};
static const int sides[] = {0, 64, 64, 128, 0, 256, 128, 512};

double synthetic_params(int variant, double budget)
{
    return 4e5 * pow(budget / 1e13, 0.5) * (1 + 0.1 * variant);
}

double synthetic_loss(int variant, double budget)
{
    static const double gain[] = {0, 0.03, 0.05, 0.075, 0.012, 0.09, 0.04, 0.1};
    return 2.05 * pow(budget / 1e13, -0.045) - gain[variant];
}

/* Share of expert (i, j): uneven along both halves, a few never used. */
static long long times_used(int i, int j, int n, uint64_t seed)
{
    uint32_t bits = peer_random_bits(seed, peer_stream("map"), (uint64_t)i * (uint64_t)n + j);
    if (bits % 16 == 0)
        return 0;
    double row = exp(-2.5 * i / n) + 0.1, column = 0.3 + pow(sin(9.0 * j / n), 2);
    return (long long)(400 * row * column * (0.4 + bits / 4294967296.0));
}

static FILE *create(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    return file;
}

static void write_map(const char *folder, const struct lab_usage *usage, uint64_t seed)
{
    FILE *file = create(folder, usage->map);
    int n = (int)usage->side;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            fprintf(file, "%lld%c", times_used(i, j, n, seed), j + 1 < n ? ' ' : '\n');
    fclose(file);
}

static void write_curve(const char *folder, const struct lab_result *result)
{
    enum { POINTS = 100 };
    FILE *file = create(folder, result->curve);
    fputs("step,tokens,loss,lr,grad_norm,sampled\n", file);
    float noise[POINTS];
    peer_fill_normal(noise, POINTS, 0, 0.03f, (uint64_t)result->id, 1);
    for (int i = 1; i <= POINTS; i++) {
        double share = (double)i / POINTS;
        fprintf(file, "%d,%.0f,%.6f,%.6g,%.4f,%d\n", 10 * i, share * (double)result->tokens,
                result->nats + 1.1 * pow(share * 20, -0.9) + noise[i - 1] * 0.6, 1e-3, 0.8, i % 2);
    }
    fclose(file);
}

static void use_experts(struct lab_result *result, int variant, const char *folder)
{
    int64_t side = sides[variant];
    if (!side)
        return;
    result->usages = 1;
    result->usage = calloc(1, sizeof *result->usage);
    *result->usage =
        (struct lab_usage){.block = 1,
                           .experts = side * side,
                           .side = side,
                           .report = {{0.981, 0.62, 0.55, 0.12, 0.55, 0.9},
                                      {0.983, 0.47, 0.48, 0.15, 0.6, 0.92},
                                      {0.9 * log((double)(side * side)), 0.9, 1.25, 6.5, 0, 0},
                                      0.71,
                                      0.998,
                                      0.04}};
    if (folder) {
        snprintf(result->usage->map, sizeof result->usage->map, "usage-%lld.txt",
                 (long long)result->id);
        write_map(folder, result->usage, (uint64_t)result->id);
    }
}

static void fill(struct lab_result *r, const struct synthetic_config *config, int variant,
                 double budget, int size)
{
    double middle = synthetic_params(variant, budget);
    double t = config->sizes > 1 ? 2.0 * size / (config->sizes - 1) - 1 : 0, noise;
    float normal;
    snprintf(r->variant, sizeof r->variant, "%s", names[variant]);
    snprintf(r->ffw, sizeof r->ffw, "%s", types[variant]);
    r->budget = budget;
    r->width = 64 + 32 * size;
    r->blocks = 3 + size / 2;
    r->state = LAB_DONE;
    r->params_active = (int64_t)(middle * pow(10, 0.4 * t + 0.05));
    r->params_total = r->params_active + (int64_t)sides[variant] * sides[variant] * 2 * r->width;
    r->tokens = (int64_t)(budget / (6.0 * (double)r->params_active));
    r->flops = budget * 0.998;
    r->bytes_per_token = 4.0 * (double)r->params_active;
    r->seconds = budget / 1.1e11 * (1 + 0.3 * variant);
    r->epochs = (double)r->tokens / 5e6;
    r->peak_bytes = 16 * r->params_total + (200 << 20);
    peer_fill_normal(&normal, 1, 0, 1, (uint64_t)r->id, peer_stream("noise"));
    noise = config->noise * (double)normal;
    double x = log10((double)r->params_active) - log10(middle);
    r->nats = synthetic_loss(variant, budget) + 0.55 * x * x + noise;
    r->perplexity = exp(r->nats);
    r->bits_per_byte = r->nats / log(2) / 3.6;
    use_experts(r, variant, config->sweep);
    if (config->sweep) {
        snprintf(r->curve, sizeof r->curve, "curve-%lld.csv", (long long)r->id);
        write_curve(config->sweep, r);
    }
}

struct synthetic synthetic_sweep(const struct synthetic_config *config)
{
    struct synthetic sweep = {
        .count = (int64_t)config->variants * config->budgets * config->sizes * config->seeds,
        .info = {"synthetic", "2024-05-01T12:00:00Z", "2 cores of a drawing board, 8 GiB",
                 "0123abc", "law, vocabulary 4096, 5000000 + 200000 tokens",
                 "peerlab sweep run synthetic.yaml", "budgets: [1e13, 4e13]\nseeds: 2\n"}};
    sweep.results = calloc((size_t)sweep.count, sizeof *sweep.results);
    struct lab_result *r = sweep.results;
    for (int variant = 0; variant < config->variants; variant++)
        for (int budget = 0; budget < config->budgets; budget++)
            for (int size = 0; size < config->sizes; size++)
                for (int seed = 0; seed < config->seeds; seed++, r++) {
                    r->id = r - sweep.results + 1;
                    r->seed = seed + 1;
                    fill(r, config, variant, 1e13 * pow(4, budget), size);
                }
    return sweep;
}

void synthetic_free(struct synthetic *sweep)
{
    for (int64_t i = 0; i < sweep->count; i++)
        free(sweep->results[i].usage);
    free(sweep->results);
    sweep->results = NULL;
}
