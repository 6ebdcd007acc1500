/* SPDX-License-Identifier: MIT */
#include "nn/context.h"

#include <omp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nn/blas.h"
#include "nn/context_private.h"

enum { ALIGNMENT = 64 };
static const size_t huge_page = (size_t)2 << 20;

const char *peer_status_name(enum peer_status status)
{
    switch (status) {
    case PEER_OK:
        return "ok";
    case PEER_ERR_ARGUMENT:
        return "bad argument";
    case PEER_ERR_MEMORY:
        return "out of memory";
    case PEER_ERR_IO:
        return "input or output failed";
    case PEER_ERR_FORMAT:
        return "bad file contents";
    case PEER_ERR_STOPPED:
        return "stopped";
    }
    return "unknown status";
}

struct peer_ctx_config peer_ctx_config_default(void)
{
    return (struct peer_ctx_config){.cpu_max = PEER_CPU_AVX512, .huge_pages = true};
}

/* Large blocks are mapped, so that their zero pages cost nothing until touched, and aligned to
 * huge pages, so that random rows of a table of gigabytes do not miss the TLB. */
static size_t mapped_bytes(size_t bytes)
{
    return (bytes + huge_page - 1) / huge_page * huge_page;
}

static bool is_mapped(size_t bytes)
{
    return bytes >= 2 * huge_page && bytes <= SIZE_MAX - 2 * huge_page;
}

static void *map_block(size_t bytes, bool huge_pages)
{
    size_t size = mapped_bytes(bytes);
    char *raw =
        mmap(NULL, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    size_t skip = (huge_page - (uintptr_t)raw % huge_page) % huge_page;
    if (skip)
        munmap(raw, skip);
    munmap(raw + skip + size, huge_page - skip);
    if (huge_pages)
        madvise(raw + skip, size, MADV_HUGEPAGE); /* advice: refusal is harmless */
    return raw + skip;
}

void *peer_ctx_alloc(struct peer_ctx *ctx, size_t bytes)
{
    void *memory;
    if (ctx->allocator.alloc) {
        memory = ctx->allocator.alloc(ctx->allocator.user, bytes);
    } else if (is_mapped(bytes)) {
        memory = map_block(bytes, ctx->huge_pages);
    } else {
        if (bytes > SIZE_MAX - ALIGNMENT)
            return NULL;
        memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        if (memory)
            memset(memory, 0, bytes);
    }
    if (memory) {
        ctx->bytes += bytes;
        if (ctx->bytes > ctx->bytes_peak)
            ctx->bytes_peak = ctx->bytes;
    }
    return memory;
}

void peer_ctx_release(struct peer_ctx *ctx, void *memory, size_t bytes)
{
    ctx->bytes -= bytes;
    if (ctx->allocator.release)
        ctx->allocator.release(ctx->allocator.user, memory, bytes);
    else if (is_mapped(bytes))
        munmap(memory, mapped_bytes(bytes));
    else
        free(memory);
}

enum peer_status peer_ctx_create(struct peer_ctx **ret, const struct peer_ctx_config *config)
{
    struct peer_ctx_config c = config ? *config : peer_ctx_config_default();
    bool allocator_whole = !c.allocator.alloc == !c.allocator.release;
    if (c.threads < 0 || c.threads > PEER_MOST_THREADS || c.cpu_max < PEER_CPU_REF ||
        c.cpu_max >= PEER_CPU_COUNT || !allocator_whole)
        return PEER_ERR_ARGUMENT;
    struct peer_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return PEER_ERR_MEMORY;
    enum peer_cpu detected = peer_cpu_detect();
    ctx->threads = c.threads ? c.threads : omp_get_max_threads();
    ctx->cpu = c.cpu_max < detected ? c.cpu_max : detected;
    ctx->huge_pages = c.huge_pages;
    ctx->uses_blas = peer_blas_suits(peer_blas_find(), ctx->cpu);
    ctx->allocator = c.allocator;
    ctx->kernels = peer_kernels_for(ctx->cpu);
    *ret = ctx;
    return PEER_OK;
}

void peer_ctx_destroy(struct peer_ctx **ctx)
{
    if (!ctx)
        return;
    free(*ctx);
    *ctx = NULL;
}

const char *peer_ctx_error(const struct peer_ctx *ctx)
{
    return ctx->error;
}

int peer_ctx_threads(const struct peer_ctx *ctx)
{
    return ctx->threads;
}

enum peer_cpu peer_ctx_cpu(const struct peer_ctx *ctx)
{
    return ctx->cpu;
}

size_t peer_ctx_bytes(const struct peer_ctx *ctx)
{
    return ctx->bytes;
}

size_t peer_ctx_bytes_peak(const struct peer_ctx *ctx)
{
    return ctx->bytes_peak;
}

enum peer_status peer_fail(struct peer_ctx *ctx, enum peer_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, arguments);
    va_end(arguments);
    return status;
}
