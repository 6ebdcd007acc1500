/* SPDX-License-Identifier: MIT */
/* A process that forks after it has used the library: the child uses it too, and gets the bits that
 * the parent gets. Each child ends itself where it would wait for ever. */
#include <criterion/criterion.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "moe/moe.h"
#include "nn/optim/optim.h"
#include "nn/random.h"
#include "peer/peer.h"

enum { D = 96, T = 300, THREADS = 3, CONFIG_BYTES = 512, PATIENCE = 60 };

/* A layer in training: what one step makes of x. */
struct work {
    const struct peer_ffw_type *type;
    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct peer_params params;
    struct peer_optim *optim;
    float x[T * D], y[T * D], dx[T * D];
};

static void begin(struct work *w, const struct peer_ffw_type *type, enum peer_cpu cpu)
{
    alignas(max_align_t) unsigned char config[CONFIG_BYTES];
    struct peer_ctx_config ctx_config = peer_ctx_config_default();
    struct peer_optim_config optim_config = peer_optim_config_default();
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    cr_assert_leq(type->config_size, sizeof config);
    ctx_config.threads = THREADS;
    ctx_config.cpu_max = cpu;
    w->type = type;
    cr_assert_eq(peer_ctx_create(&w->ctx, &ctx_config), PEER_OK);
    w->params = peer_params_empty(w->ctx);
    type->config_default(config, D);
    cr_assert_eq(peer_ffw_create(&w->layer, w->ctx, type, config, &shape), PEER_OK);
    cr_assert_eq(peer_ffw_params(w->layer, &w->params, ""), PEER_OK);
    cr_assert_eq(peer_optim_create(&w->optim, w->ctx, &w->params, &optim_config), PEER_OK);
    peer_params_init(&w->params, 1);
    peer_fill_normal(w->x, T * D, 0, 1, 1, peer_stream("x"));
}

static void step(struct work *w)
{
    memset(w->dx, 0, sizeof w->dx);
    peer_ffw_forward(w->layer, w->y, w->x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(w->layer, w->dx, w->y, w->x, T);
    peer_optim_step(w->optim, 0.01f);
}

static void end(struct work *w)
{
    peer_optim_destroy(&w->optim);
    peer_params_free(&w->params);
    peer_ffw_destroy(&w->layer);
    peer_ctx_destroy(&w->ctx);
}

static uint64_t hash(const struct work *w)
{
    const unsigned char *parts[] = {(const void *)w->y, (const void *)w->dx};
    uint64_t h = 14695981039346656037u;
    for (int part = 0; part < 2; part++)
        for (size_t i = 0; i < sizeof w->y; i++)
            h = (h ^ parts[part][i]) * 1099511628211u;
    return h;
}

/* What `go` returns in a child. */
static uint64_t in_child(uint64_t (*go)(struct work *), struct work *w)
{
    uint64_t got = 0;
    int ends[2], status = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        alarm(PATIENCE);
        got = go(w);
        _exit(write(ends[1], &got, sizeof got) == sizeof got ? 0 : 1);
    }
    close(ends[1]);
    cr_expect_eq(read(ends[0], &got, sizeof got), sizeof got, "the child said nothing");
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "%s: the child ended with status %x", w->type->name, status);
    return got;
}

static uint64_t go_on(struct work *w)
{
    step(w);
    return hash(w);
}

static uint64_t anew(struct work *w)
{
    struct work *other = calloc(1, sizeof *other);
    begin(other, w->type, peer_ctx_cpu(w->ctx));
    step(other);
    step(other);
    uint64_t h = hash(other);
    end(other);
    free(other);
    return h;
}

static uint64_t in_grandchild(struct work *w)
{
    step(w);
    return in_child(go_on, w);
}

static void expect_same_in_children(const struct peer_ffw_type *type, enum peer_cpu cpu)
{
    struct work *w = calloc(1, sizeof *w);
    begin(w, type, cpu);
    step(w);
    uint64_t child = in_child(go_on, w), new = in_child(anew, w);
    uint64_t grandchild = in_child(in_grandchild, w);
    step(w);
    cr_expect_eq(child, hash(w), "%s at %s: what the parent made", type->name, peer_cpu_name(cpu));
    cr_expect_eq(new, hash(w), "%s at %s: made in the child", type->name, peer_cpu_name(cpu));
    step(w);
    cr_expect_eq(grandchild, hash(w), "%s at %s: a fork of the fork", type->name,
                 peer_cpu_name(cpu));
    end(w);
    free(w);
}

/* At the plain level products of matrices are OpenBLAS's, which has OpenMP inside. */
Test(fork, a_child_goes_on)
{
    static const struct peer_ffw_type *const types[] = {&peer_ffw_dense, &peer_ffw_peer,
                                                        &peer_ffw_pkm, &peer_ffw_mixtral};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        expect_same_in_children(types[i], PEER_CPU_REF);
        expect_same_in_children(types[i], peer_cpu_detect());
    }
}
