/* SPDX-License-Identifier: MIT */
/* Time per token of a PEER layer by the number of experts, heads and kept experts fixed. */
#include <stdlib.h>

#include "bench/layer.h"
#include "bench/match.h"
#include "peer/peer.h"

enum { FIRST = 128, LAST = 4096, SIZES = 6, D = 64, T = 2048 };

static void open_side(struct bench_layer *layer, struct bench *bench, int64_t n)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = n * n;
    config.query_width = 256;
    bench_layer_open(layer, bench, bench->ctx,
                     &(struct bench_layer_config){
                         .type = &peer_ffw_peer, .config = &config, .D = D, .T = T, .calls = 1});
    bench_layer_forward(layer);
}

/* Four times the experts, beside the size before it: with sqrt(N), the time may double. */
static struct bench_stat match_sizes(struct bench *bench, struct bench_layer *ours,
                                     struct bench_layer *smaller, int64_t n)
{
    struct bench_match match = {
        .name = "scaling/forward",
        .unit = "tokens",
        .work = T,
        .target = 1,
        .scale = 2,
        .ours = {"ours", bench_layer_forward, ours, NULL},
        .theirs = {"N / 4, of twice its time", bench_layer_forward, smaller, NULL},
        .difference = -1};
    snprintf(match.sizes, sizeof match.sizes, "N=%lld^2 D=%d T=%d", (long long)n, D, T);
    return bench_match(bench, &match);
}

static struct bench_stat time_alone(const struct bench *bench, struct bench_layer *layer)
{
    static double times[BENCH_MOST_RUNS];
    struct bench_side side = {"ours", bench_layer_forward, layer, NULL};
    int runs = bench_side_times(bench, &side, times);
    return bench_stat_of(times, runs);
}

/* Has gnuplot draw microseconds per token, with 10th and 90th percentile. */
static void draw(struct bench *bench, const struct bench_stat *time)
{
    FILE *gnuplot = popen("gnuplot", "w");
    if (gnuplot) {
        fprintf(gnuplot, "output = '%s'; work = 'forward pass, D = %d, H = 8, k = 16'\n",
                bench->plot, D);
        fprintf(gnuplot, "$points << end\n");
        for (int i = 0; i < SIZES; i++) {
            double experts = (double)(FIRST << i) * (FIRST << i), per_token = 1e6 / T;
            fprintf(gnuplot, "%.0f %g %g %g\n", experts, time[i].median * per_token,
                    time[i].low * per_token, time[i].high * per_token);
        }
        fprintf(gnuplot, "end\nload '%s/scaling.gp'\n", PEER_BENCH_SOURCE);
    }
    if (gnuplot && pclose(gnuplot) == 0)
        return;
    fprintf(stderr, "bench: gnuplot did not draw %s\n", bench->plot);
    bench->failed = true;
}

void bench_scaling(struct bench *bench)
{
    struct bench_stat time[SIZES];
    struct bench_layer smaller, larger;
    if (!bench_wants(bench, "scaling/forward"))
        return;
    open_side(&smaller, bench, FIRST);
    time[0] = time_alone(bench, &smaller);
    for (int i = 1; i < SIZES; i++) {
        open_side(&larger, bench, (int64_t)FIRST << i);
        time[i] = match_sizes(bench, &larger, &smaller, (int64_t)FIRST << i);
        bench_layer_close(&smaller);
        smaller = larger;
    }
    bench_layer_close(&smaller);
    if (bench->plot)
        draw(bench, time);
}
