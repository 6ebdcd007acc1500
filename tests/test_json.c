/* SPDX-License-Identifier: MIT */
/* Each allocation that reading or building JSON takes fails in turn: the whole value, or an error
 * and nothing left behind. The linker sends malloc, realloc and free of this program's own objects
 * here; those of libraries go on as they are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/checkpoint.h"
#include "lm/json.h"
#include "lm/model_json.h"
#include "lm/options.h"
#include "peer/types.h"
#include "tests/support/tempdir.h"

void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

static long granted = -1; /* allocations before one fails; -1 = none does */
static long held;         /* blocks */

static bool grant(void)
{
    if (granted < 0)
        return true;
    return granted-- > 0 || (granted = -2, false);
}

/* After the one that failed others succeed: granted is -2. */
void *__wrap_malloc(size_t size)
{
    void *block = grant() ? __real_malloc(size) : NULL;
    held += block != NULL;
    return block;
}

void *__wrap_realloc(void *block, size_t size)
{
    void *moved = grant() ? __real_realloc(block, size) : NULL;
    held += moved && !block;
    return moved;
}

void __wrap_free(void *block)
{
    held -= block != NULL;
    __real_free(block);
}

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
}

static void tear_down(void)
{
    granted = -1;
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(json, .init = set_up, .fini = tear_down);

/* Long strings, long numbers, and objects and lists that grow. */
static char *awkward_text(void)
{
    char *text = malloc(1 << 16), *at = text;
    at += sprintf(at, "{\"long\": \"");
    for (int i = 0; i < 700; i++)
        at += sprintf(at, i % 7 ? "x" : "\\u00e9");
    at += sprintf(at, "\", \"number\": 0.1234567890123456789012345678901234567890e-3, \"list\": [");
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "%s{\"n\": %d, \"a-name-longer-than-sixteen\": [null, true, \"%d\"]}",
                      i ? ", " : "", i, i);
    at += sprintf(at, "]");
    for (int i = 0; i < 50; i++)
        at += sprintf(at, ", \"field-%d\": 123456789012345678", i);
    sprintf(at, "}");
    return text;
}

Test(json, a_value_is_read_whole_or_not_at_all)
{
    char *text = awkward_text();
    json_t *whole = NULL, *json = NULL;
    cr_assert_eq(lm_json_parse(&whole, ctx, NULL, "x", text, strlen(text), 0), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    long before = held, n = 0;
    enum peer_status status = PEER_ERR_MEMORY;
    for (; status != PEER_OK; n++) {
        granted = n;
        json = NULL;
        status = lm_json_parse(&json, ctx, "who", "x", text, strlen(text), 0);
        granted = -1;
        if (status == PEER_OK)
            break;
        cr_assert_eq(status, PEER_ERR_MEMORY, "%ld: %s", n, peer_ctx_error(ctx));
        cr_assert(strstr(peer_ctx_error(ctx), "who: x: no memory"), "%s", peer_ctx_error(ctx));
        cr_assert_null(json);
        cr_assert_eq(held, before, "%ld: %ld blocks, before %ld", n, held, before);
    }
    cr_expect_gt(n, 1000);
    cr_expect(json_equal(whole, json));
    json_decref(whole);
    json_decref(json);
    free(text);
}

Test(json, wrong_text_is_told_from_lack_of_memory)
{
    json_t *json = NULL;
    static const char text[] = "{\"a\":\n[1, 2,\n\"three]}";
    long before = held;
    cr_expect_eq(lm_json_parse(&json, ctx, NULL, "file", text, strlen(text), 0), PEER_ERR_FORMAT);
    cr_expect_eq(strncmp(peer_ctx_error(ctx), "file:3: ", 8), 0, "%s", peer_ctx_error(ctx));
    cr_expect_eq(held, before);
    cr_expect_null(json);
    cr_expect_not(lm_json_failed());
}

/* Each value is given back, in the order in which it was taken: in linear time. */
Test(json, long_wrong_text_is_refused_at_once, .timeout = 60)
{
    enum { VALUES = 3000000 };
    json_t *json = NULL;
    char *text = malloc(2 * VALUES);
    for (int i = 0; i < VALUES; i++) {
        text[2 * i] = i ? ',' : '[';
        text[2 * i + 1] = '0';
    }
    long before = held;
    cr_expect_eq(lm_json_parse(&json, ctx, NULL, "x", text, 2 * VALUES, 0), PEER_ERR_FORMAT);
    cr_expect_eq(held, before);
    free(text);
}

Test(json, files_have_a_limit_that_the_message_names)
{
    struct tempfile file = tempdir_file(&dir, "a.json");
    json_t *json = NULL;
    tempfile_write(&file, "{\"a\": 1}", 8);
    cr_expect_eq(lm_json_open(&json, ctx, NULL, file.path, 8, 0), PEER_OK);
    json_decref(json);
    json = NULL;
    cr_expect_eq(lm_json_open(&json, ctx, NULL, file.path, 7, 0), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "bytes = 8, expected at most 7"), "%s",
              peer_ctx_error(ctx));
    cr_expect_null(json);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

/* What is built may lack a part where nobody looked: lm_json_failed() says so. */
Test(json, a_config_is_written_whole_or_the_failure_is_known)
{
    _Alignas(16) unsigned char ffw[256];
    struct lm_config config = lm_config_default(50, 64, 5);
    config.ffw = peer_ffw_find("peer");
    config.ffw->config_default(ffw, 64);
    config.ffw_config = ffw;
    config.sparse_at[1] = config.sparse_at[4] = true;
    lm_json_watch();
    json_t *whole = lm_config_json(&config);
    cr_assert(whole && !lm_json_failed());
    for (long n = 0;; n++) {
        long before = held;
        granted = n;
        lm_json_watch();
        json_t *json = lm_config_json(&config);
        bool ended = granted == -2, lost = lm_json_failed();
        granted = -1;
        cr_assert_eq(lost, ended);
        if (!lost) {
            cr_expect_gt(n, 50);
            cr_expect(json_equal(whole, json));
            json_decref(json);
            break;
        }
        json_decref(json);
        cr_assert_eq(held, before, "%ld", n);
    }
    json_decref(whole);
}

/* A checkpoint's header is all of json_pack, json_dumps and updates. */
Test(json, a_checkpoint_is_written_whole_or_not_at_all)
{
    float values[6] = {1, 2, 3, 4, 5, 6};
    struct tempfile file = tempdir_file(&dir, "a.safetensors");
    struct peer_params params = peer_params_empty(ctx);
    struct peer_param param = {
        .name = "a", .kind = PEER_PARAM_BUFFER, .data = values, .dims = 2, .shape = {2, 3}};
    cr_assert_eq(peer_params_add(&params, "", &param), PEER_OK, "%s", peer_ctx_error(ctx));
    json_t *metadata = json_pack("{s:s, s:s}", "step", "1", "text", "some words, some more words");
    size_t size, other;
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &params, metadata), PEER_OK);
    char *whole = tempfile_read(&file, &size);
    for (long n = 0;; n++) {
        granted = n;
        enum peer_status status = lm_checkpoint_save(ctx, file.path, &params, metadata);
        granted = -1;
        char *bytes = tempfile_read(&file, &other);
        cr_assert(other == size && memcmp(bytes, whole, size) == 0, "%ld", n);
        free(bytes);
        if (status == PEER_OK) {
            cr_expect_gt(n, 10);
            break;
        }
        cr_assert_eq(status, PEER_ERR_MEMORY, "%ld: %s", n, peer_ctx_error(ctx));
    }
    json_decref(metadata);
    free(whole);
    peer_params_free(&params);
}
