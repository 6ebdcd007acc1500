/* SPDX-License-Identifier: MIT */
#include "nn/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nn/context_private.h"

/* The one thing that is known of the process and not of a context, since OpenMP's threads are the
 * process's too: they do not live on in a fork, where waiting for them never ends. */
static bool peer_process_forked;

static void note_fork(void)
{
    peer_process_forked = true;
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, note_fork);
}

struct loop {
    peer_tile_fn *tile;
    void *job;
    int64_t tiles;
    atomic_int_fast64_t next;
};

struct worker {
    struct loop *loop;
    int thread;
    pthread_t id;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct loop *loop = worker->loop;
    omp_set_num_threads(1); /* OpenBLAS is to start none */
    for (int64_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->tiles;)
        loop->tile(loop->job, i, worker->thread);
    return NULL;
}

/* The loop on threads of its own, as many as can be had. */
static void parallel_in_fork(int threads, int64_t tiles, peer_tile_fn *tile, void *job)
{
    struct loop loop = {.tile = tile, .job = job, .tiles = tiles};
    struct worker workers[PEER_MOST_THREADS];
    int before = omp_get_max_threads(), count = 1;
    for (; count < threads && count < tiles; count++) {
        workers[count] = (struct worker){.loop = &loop, .thread = count};
        if (pthread_create(&workers[count].id, NULL, work, &workers[count]))
            break;
    }
    workers[0] = (struct worker){.loop = &loop};
    work(&workers[0]);
    while (--count > 0)
        pthread_join(workers[count].id, NULL);
    omp_set_num_threads(before);
}

void peer_parallel(const struct peer_ctx *ctx, int64_t tiles, peer_tile_fn *tile, void *job)
{
    if (tiles < 1)
        return;
    if (peer_process_forked) {
        parallel_in_fork(ctx->threads, tiles, tile, job);
        return;
    }
    /* One thread or all: between teams of other sizes OpenMP ends threads and starts new ones. */
    int threads = tiles == 1 ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads)
    {
        /* In a team of one, OpenBLAS would start threads of its own and change the order of its
         * sums; this setting ends with the region. */
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < tiles; i++)
            tile(job, i, omp_get_thread_num());
    }
}
