/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "nn/blas.h"
#include "nn/context_private.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "tests/support/failing.h"

static struct peer_ctx *make_ctx(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

Test(context, takes_what_it_is_given)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 3;
    config.cpu_max = PEER_CPU_REF;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    cr_expect_eq(peer_ctx_threads(ctx), 3);
    cr_expect_eq(peer_ctx_cpu(ctx), PEER_CPU_REF);
    cr_expect_str_eq(peer_ctx_error(ctx), "");
    peer_ctx_destroy(&ctx);
    cr_expect_null(ctx);
    peer_ctx_destroy(&ctx);
    peer_ctx_destroy(NULL);

    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_expect_geq(peer_ctx_threads(ctx), 1);
    cr_expect_eq(peer_ctx_cpu(ctx), peer_cpu_detect());
    peer_ctx_destroy(&ctx);
}

static void *no_memory(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
    return NULL;
}

Test(context, refuses_what_has_no_meaning)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = -1;
    cr_expect_eq(peer_ctx_create(&ctx, &config), PEER_ERR_ARGUMENT);
    config.threads = 1025;
    cr_expect_eq(peer_ctx_create(&ctx, &config), PEER_ERR_ARGUMENT);
    config = peer_ctx_config_default();
    config.cpu_max = PEER_CPU_COUNT;
    cr_expect_eq(peer_ctx_create(&ctx, &config), PEER_ERR_ARGUMENT);
    config = peer_ctx_config_default();
    config.allocator.alloc = no_memory;
    cr_expect_eq(peer_ctx_create(&ctx, &config), PEER_ERR_ARGUMENT);
    cr_expect_null(ctx);
}

Test(context, names_of_levels_are_read_back)
{
    for (int cpu = 0; cpu < PEER_CPU_COUNT; cpu++)
        cr_expect_eq(peer_cpu_from_name(peer_cpu_name((enum peer_cpu)cpu)), cpu);
    cr_expect_eq(peer_cpu_from_name("sse"), -1);
    cr_expect_eq(peer_cpu_from_name(""), -1);
}

Test(context, cores_of_blas_have_levels)
{
    cr_expect_eq(peer_blas_level("Prescott"), PEER_CPU_REF);
    cr_expect_eq(peer_blas_level("Sandybridge"), PEER_CPU_REF); /* AVX alone */
    cr_expect_eq(peer_blas_level("HASWELL"), PEER_CPU_AVX2);
    cr_expect_eq(peer_blas_level("Zen"), PEER_CPU_AVX2);
    cr_expect_eq(peer_blas_level("SkylakeX"), PEER_CPU_AVX512);
    cr_expect_eq(peer_blas_level("Cooperlake"), PEER_CPU_AVX512);
    cr_expect_eq(peer_blas_level("of the year 2050"), peer_cpu_detect());
}

Test(context, says_what_blas_it_found)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_blas blas = peer_ctx_blas(ctx);
    cr_expect_neq(strlen(blas.name), 0);
    cr_expect_eq(blas.level, peer_blas_level(blas.core));
    cr_expect_eq(blas.below, blas.level < peer_cpu_detect());
    cr_expect_geq(blas.threads, 1);
    peer_ctx_destroy(&ctx);
}

Test(context, keeps_the_last_error_whole_or_cut)
{
    struct peer_ctx *ctx = make_ctx(1);
    cr_expect_eq(peer_fail(ctx, PEER_ERR_IO, "here: n = %d", 7), PEER_ERR_IO);
    cr_expect_str_eq(peer_ctx_error(ctx), "here: n = 7");
    cr_expect_eq(peer_fail(ctx, PEER_ERR_FORMAT, "%2000d", 1), PEER_ERR_FORMAT);
    size_t length = strlen(peer_ctx_error(ctx));
    cr_expect_geq(length, 255);
    cr_expect_lt(length, 2000);
    peer_ctx_destroy(&ctx);
}

/* Below and above the size from which blocks are mapped. */
Test(context, memory_is_zeroed_aligned_and_counted)
{
    static const size_t sizes[] = {
        1, 63, 64, 4097, ((size_t)4 << 20) - 1, (size_t)4 << 20, ((size_t)5 << 20) + 3};
    struct peer_ctx *ctx = make_ctx(1);
    size_t largest = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i], nonzero = 0;
        unsigned char *memory = peer_ctx_alloc(ctx, n);
        cr_assert_not_null(memory);
        cr_expect_eq((uintptr_t)memory % 64, 0);
        for (size_t j = 0; j < n; j++)
            nonzero += memory[j] != 0;
        cr_expect_eq(nonzero, 0);
        memset(memory, 0xab, n);
        cr_expect_eq(peer_ctx_bytes(ctx), n);
        largest = n > largest ? n : largest;
        cr_expect_eq(peer_ctx_bytes_peak(ctx), largest);
        peer_ctx_release(ctx, memory, n);
        cr_expect_eq(peer_ctx_bytes(ctx), 0);
    }
    cr_expect_null(peer_ctx_alloc(ctx, SIZE_MAX));
    cr_expect_null(peer_ctx_alloc(ctx, SIZE_MAX / 2));
    cr_expect_eq(peer_ctx_bytes_peak(ctx), largest);
    peer_ctx_destroy(&ctx);
}

Test(pool, sizes_saturate)
{
    cr_expect_eq(peer_size_mul(3, 5), 15);
    cr_expect_eq(peer_size_mul(SIZE_MAX / 2, 3), SIZE_MAX);
    cr_expect_eq(peer_size_mul(SIZE_MAX, 0), 0);
    cr_expect_eq(peer_size_add(3, 5), 8);
    cr_expect_eq(peer_size_add(SIZE_MAX, 0), SIZE_MAX);
    cr_expect_eq(peer_size_add(SIZE_MAX, 1), SIZE_MAX);
}

Test(pool, a_failure_names_the_sizes)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_pool pool = {.ctx = ctx};
    cr_expect_not_null(peer_pool_alloc(&pool, "empty", 8, 0, 5, 1));
    cr_expect_not_null(peer_pool_floats(&pool, "some", 7, 3));
    cr_expect(!pool.failed);
    cr_expect_null(peer_pool_alloc(&pool, "negative", 8, 4, -1, 1));
    cr_expect(pool.failed);
    cr_expect_str_eq(peer_ctx_error(ctx), "negative: no memory for [4, -1, 1] x 8 bytes");
    cr_expect_null(peer_pool_alloc(&pool, "wide", 8, INT64_MAX, INT64_MAX, 3));
    cr_expect(strstr(peer_ctx_error(ctx), "wide: no memory for [9223372036854775807, "));
    peer_pool_free(&pool);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    struct peer_pool unused = {.ctx = NULL};
    peer_pool_free(&unused);
}

static void take(struct peer_pool *pool)
{
    peer_pool_floats(pool, "floats", 17, 3);
    peer_pool_ids(pool, "ids", 0, 3);
    peer_pool_alloc(pool, "block", 24, 3, 5, 7);
}

Test(pool, measures_what_it_would_take)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_pool pool = {.ctx = ctx}, measure = {.ctx = NULL};
    take(&pool);
    take(&measure);
    cr_expect_eq(measure.bytes, pool.bytes);
    cr_expect_eq(measure.bytes, failing.bytes);
    cr_expect(!measure.failed);
    cr_expect_null(measure.blocks);
    peer_pool_floats(&measure, "too much", INT64_MAX, 4);
    take(&measure);
    cr_expect_eq(measure.bytes, SIZE_MAX);
    peer_pool_free(&pool);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&ctx);
}

enum { MOST_TILES = 1000 };

struct visits {
    int threads;
    int count[MOST_TILES], strange;
};

static void visit(void *job, int64_t tile, int thread)
{
    struct visits *visits = job;
    visits->count[tile]++;
    if (thread < 0 || thread >= visits->threads)
        visits->strange++;
}

Test(parallel, runs_every_tile_once)
{
    static const int tiles[] = {0, 1, 2, 3, 7, MOST_TILES};
    for (int threads = 1; threads <= 4; threads++) {
        struct peer_ctx *ctx = make_ctx(threads);
        for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
            struct visits visits = {.threads = threads};
            peer_parallel(ctx, tiles[i], visit, &visits);
            for (int tile = 0; tile < MOST_TILES; tile++)
                cr_assert_eq(visits.count[tile], tile < tiles[i], "tile %d of %d", tile, tiles[i]);
            cr_expect_eq(visits.strange, 0);
        }
        peer_ctx_destroy(&ctx);
    }
}

struct workers {
    int id[4]; /* by thread: the system's thread that ran its last tile */
    int changes;
};

static void note_worker(void *job, int64_t tile, int thread)
{
    struct workers *workers = job;
    int id = gettid();
    (void)tile;
    if (workers->id[thread] && workers->id[thread] != id)
        __atomic_add_fetch(&workers->changes, 1, __ATOMIC_RELAXED);
    workers->id[thread] = id;
    usleep(100);
}

Test(parallel, keeps_its_threads)
{
    struct peer_ctx *ctx = make_ctx(4);
    struct workers workers = {{0}, 0};
    for (int i = 0; i < 20; i++)
        for (int tiles = 1; tiles <= 16; tiles *= 2)
            peer_parallel(ctx, tiles, note_worker, &workers);
    cr_expect_eq(workers.changes, 0);
    peer_ctx_destroy(&ctx);
}

Test(parallel, tiles_cover_a_count)
{
    cr_expect_eq(peer_tiles(0, 128), 0);
    cr_expect_eq(peer_tiles(1, 128), 1);
    cr_expect_eq(peer_tiles(128, 128), 1);
    cr_expect_eq(peer_tiles(129, 128), 2);
}
