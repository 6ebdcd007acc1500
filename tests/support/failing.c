/* SPDX-License-Identifier: MIT */
#include "tests/support/failing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static void *grant(void *user, size_t bytes)
{
    struct failing *failing = user;
    int64_t number = failing->asked++;
    if (failing->granted >= 0 && number >= failing->granted)
        return NULL;
    void *memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    cr_assert_not_null(memory);
    memset(memory, 0, bytes);
    failing->held++;
    failing->bytes += bytes;
    return memory;
}

static void take_back(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    failing->held--;
    failing->bytes -= bytes;
    free(memory);
}

struct peer_ctx *failing_ctx(struct failing *failing, int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    config.allocator = (struct peer_allocator){grant, take_back, failing};
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

int64_t failing_every_allocation(failing_create *create, failing_destroy *destroy,
                                 const void *config)
{
    struct failing failing = {.granted = 0};
    for (;; failing.granted++) {
        failing.asked = 0;
        struct peer_ctx *ctx = failing_ctx(&failing, 2);
        char untouched;
        void *object = &untouched;
        enum peer_status status = create(&object, ctx, config);
        long long number = (long long)failing.granted;
        if (status == PEER_OK) {
            cr_expect_eq(failing.bytes, peer_ctx_bytes(ctx));
            destroy(&object);
            cr_expect_null(object);
        } else {
            cr_assert_eq(status, PEER_ERR_MEMORY, "allocation %lld: %s", number,
                         peer_ctx_error(ctx));
            cr_expect_str_neq(peer_ctx_error(ctx), "", "allocation %lld", number);
            cr_expect_eq(object, &untouched, "allocation %lld: *ret was written", number);
        }
        cr_expect_eq(failing.held, 0, "%lld blocks of %zu bytes are left, %lld granted",
                     (long long)failing.held, failing.bytes, number);
        peer_ctx_destroy(&ctx);
        if (status == PEER_OK)
            return failing.granted;
    }
}
