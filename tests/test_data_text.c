/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "experiments/data/text_buffer.h"
#include "experiments/data/text_documents.h"
#include "experiments/data/text_inputs.h"
#include "experiments/data/text_stream.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

static struct tempdir dir;
static struct failing failing;
static struct peer_ctx *ctx;

static void setup(void)
{
    dir = tempdir_create();
    failing = (struct failing){.granted = -1};
    ctx = failing_ctx(&failing, 1);
}

static void teardown(void)
{
    peer_ctx_destroy(&ctx);
    cr_expect_eq(failing.held, 0);
    tempdir_remove(&dir);
}

TestSuite(text, .init = setup, .fini = teardown);

/* Bytes of few kinds, so that packing finds repetitions. */
static void fill(uint8_t *bytes, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)('a' + peer_random_below(seed, 3, (uint64_t)i / 3, 9));
}

static struct tempfile write_file(const char *name, const void *bytes, size_t size)
{
    struct tempfile file = tempdir_file(&dir, name);
    tempfile_write(&file, bytes, size);
    return file;
}

static int64_t pack_gzip(uint8_t *out, int64_t room, const uint8_t *bytes, int64_t count)
{
    z_stream stream = {.next_in = (uint8_t *)bytes,
                       .avail_in = (uInt)count,
                       .next_out = out,
                       .avail_out = (uInt)room};
    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    int64_t size = room - stream.avail_out;
    deflateEnd(&stream);
    return size;
}

static int64_t pack_zstd(uint8_t *out, int64_t room, const uint8_t *bytes, int64_t count)
{
    size_t size = ZSTD_compress(out, (size_t)room, bytes, (size_t)count, 3);
    cr_assert(!ZSTD_isError(size));
    return (int64_t)size;
}

/* Reads a whole file in parts of `part` bytes. */
static enum peer_status read_all(struct lab_buffer *ret, const char *path, int64_t part)
{
    struct lab_stream *stream = NULL;
    *ret = lab_buffer_create(ctx);
    enum peer_status status = lab_stream_open(&stream, ctx, path);
    for (int64_t got = 1; status == PEER_OK && got > 0;) {
        cr_assert_eq(lab_buffer_reserve(ret, part), PEER_OK);
        status = lab_stream_read(stream, ret->bytes + ret->count, part, &got);
        ret->count += status == PEER_OK ? got : 0;
    }
    lab_stream_close(&stream);
    return status;
}

enum { BYTES = 200003, ROOM = 2 * BYTES + 1000 };

/* Plain, gzip and zstd files of two members or frames give the same bytes, whatever is asked for at
 * once. */
Test(text, packed_files_give_their_bytes)
{
    static const int64_t sizes[] = {0, 1, 3, 4, 65535, 65537, BYTES}, parts[] = {1, 7, 4096, ROOM};
    uint8_t *bytes = malloc(BYTES), *packed = malloc(2 * ROOM);
    fill(bytes, BYTES, 11);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 3; kind++)
            for (size_t k = sizes[i] > 1000; k < sizeof parts / sizeof *parts; k++) {
                int64_t half = sizes[i] / 2, size = sizes[i];
                memcpy(packed, bytes, (size_t)size);
                if (kind == 1) {
                    size = pack_gzip(packed, ROOM, bytes, half);
                    size += pack_gzip(packed + size, ROOM, bytes + half, sizes[i] - half);
                } else if (kind == 2) {
                    size = pack_zstd(packed, ROOM, bytes, half);
                    size += pack_zstd(packed + size, ROOM, bytes + half, sizes[i] - half);
                }
                struct tempfile file = write_file("file", packed, (size_t)size);
                struct lab_buffer text;
                cr_expect_eq(read_all(&text, file.path, parts[k]), PEER_OK, "%s",
                             peer_ctx_error(ctx));
                cr_expect_eq(text.count, sizes[i], "kind %d, part %lld: %lld of %lld bytes", kind,
                             (long long)parts[k], (long long)text.count, (long long)sizes[i]);
                cr_expect(text.count == 0 || memcmp(text.bytes, bytes, (size_t)sizes[i]) == 0);
                lab_buffer_free(&text);
            }
    free(bytes);
    free(packed);
}

/* A packed file cut anywhere says so, with its name; an empty one is empty text. */
Test(text, a_packed_file_cut_at_any_byte_is_refused)
{
    uint8_t bytes[301], packed[1000];
    fill(bytes, sizeof bytes, 12);
    for (int kind = 0; kind < 2; kind++) {
        int64_t size = kind ? pack_zstd(packed, sizeof packed, bytes, sizeof bytes)
                            : pack_gzip(packed, sizeof packed, bytes, sizeof bytes);
        for (int64_t cut = kind ? 4 : 2; cut < size; cut++) {
            struct tempfile file = write_file("cut.packed", packed, (size_t)cut);
            struct lab_buffer text;
            cr_expect_eq(read_all(&text, file.path, 100), PEER_ERR_FORMAT, "kind %d, %lld bytes",
                         kind, (long long)cut);
            cr_expect(strstr(peer_ctx_error(ctx), "cut.packed: "), "%s", peer_ctx_error(ctx));
            cr_expect(strstr(peer_ctx_error(ctx), "ends early"), "%s", peer_ctx_error(ctx));
            lab_buffer_free(&text);
        }
    }
}

Test(text, damaged_data_and_missing_files_are_named)
{
    uint8_t bytes[3001], packed[4000];
    struct lab_buffer text;
    fill(bytes, sizeof bytes, 13);
    int64_t size = pack_gzip(packed, sizeof packed, bytes, sizeof bytes);
    packed[size / 2] ^= 0x55;
    packed[size / 2 + 1] ^= 0xaa;
    struct tempfile file = write_file("damaged.gz", packed, (size_t)size);
    cr_expect_eq(read_all(&text, file.path, 100), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "damaged.gz: damaged gzip"), "%s", peer_ctx_error(ctx));
    lab_buffer_free(&text);

    size = pack_gzip(packed, sizeof packed, bytes, sizeof bytes);
    memcpy(packed + size, "more", 4);
    file = write_file("more.gz", packed, (size_t)size + 4);
    cr_expect_eq(read_all(&text, file.path, 100), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "not gzip follow"), "%s", peer_ctx_error(ctx));
    lab_buffer_free(&text);

    file = tempdir_file(&dir, "none.txt");
    cr_expect_eq(read_all(&text, file.path, 100), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "none.txt: cannot open: No such file"), "%s",
              peer_ctx_error(ctx));
    cr_expect_eq(read_all(&text, dir.path, 100), PEER_ERR_IO);
    lab_buffer_free(&text);
}

/* A frame that asks for a window of 2^28 bytes, and one of 2^27. */
Test(text, zstd_windows_have_a_limit_that_the_message_names)
{
    for (int more = 0; more < 2; more++) {
        uint8_t bytes[1000], packed[2000];
        struct lab_buffer text;
        fill(bytes, sizeof bytes, 14);
        ZSTD_CCtx *zstd = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 27 + more);
        ZSTD_inBuffer in = {bytes, sizeof bytes, 0};
        ZSTD_outBuffer out = {packed, sizeof packed, 0};
        cr_assert_not(ZSTD_isError(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_flush)));
        cr_assert_eq(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_end), 0);
        ZSTD_freeCCtx(zstd);
        struct tempfile file = write_file("wide.zst", packed, out.pos);
        cr_expect_eq(read_all(&text, file.path, 100), more ? PEER_ERR_FORMAT : PEER_OK);
        cr_expect(!more || strstr(peer_ctx_error(ctx), "larger than 128 MiB"), "%s",
                  peer_ctx_error(ctx));
        lab_buffer_free(&text);
    }
}

/* Documents joined by 0xff, which is no byte of UTF-8. */
static enum peer_status take_text(void *user, const uint8_t *bytes, int64_t count)
{
    return lab_buffer_add(user, bytes, count);
}

static enum peer_status take_end(void *user)
{
    return lab_buffer_add(user, "\xff", 1);
}

static enum peer_status read_documents(struct lab_buffer *ret, const char *path,
                                       struct lab_document_options options, int64_t *repaired)
{
    *ret = lab_buffer_create(ctx);
    *repaired = 0;
    struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = ret};
    struct lab_document_notes notes = {0};
    enum peer_status status = lab_documents_read(ctx, path, &options, &sink, &notes);
    *repaired = notes.repaired;
    return status;
}

static void expect_documents(const char *name, const char *text, size_t size,
                             struct lab_document_options options, const char *expected,
                             size_t expected_size, int64_t expected_repaired)
{
    struct tempfile file = write_file(name, text, size);
    struct lab_buffer got;
    int64_t repaired;
    cr_assert_eq(read_documents(&got, file.path, options, &repaired), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(got.count, (int64_t)expected_size, "%s: %lld bytes, expected %zu: %.*s", text,
                 (long long)got.count, expected_size, (int)got.count, got.bytes);
    cr_expect(got.count == 0 || memcmp(got.bytes, expected, expected_size) == 0, "%s: %.*s", text,
              (int)got.count, got.bytes);
    cr_expect_eq(repaired, expected_repaired);
    lab_buffer_free(&got);
}

#define EXPECT(name, text, options, expected, repaired)                                            \
    expect_documents(name, text, sizeof text - 1, options, expected, sizeof expected - 1, repaired)

Test(text, plain_text_is_cut_at_marks)
{
    struct lab_document_options whole = {.mark = NULL}, mark = {.mark = "<end>"},
                                empty = {.mark = ""};
    EXPECT("a.txt", "one\n\ntwo\n", whole, "one\n\ntwo\n\xff", 0);
    EXPECT("a.txt", "", whole, "\xff", 0);
    EXPECT("a.txt", "\xef\xbb\xbfone\0\x80", whole, "one\0\xef\xbf\xbd\xff", 1);
    EXPECT("a.txt", "one\n<end>\ntwo <end>\n<end> x\n<en\n<end>\r\n\n<end>", mark,
           "one\n\xfftwo <end>\n<end> x\n<en\n\xff\n\xff", 0);
    EXPECT("a.txt", "<end>\n<end>\nlast", mark, "last\xff", 0);
    EXPECT("a.txt", "one\nmore\n\n\r\n\ntwo", empty, "one\nmore\n\xfftwo\xff", 0);
}

Test(text, json_lines_give_their_field)
{
    struct lab_document_options text = {.field = NULL}, body = {.field = "body"},
                                forced = {.format = LAB_TEXT_JSON};
    EXPECT("a.jsonl",
           "{\"text\":\"a\\n\\u00e9\"}\n\n  \r\n{\"n\":1,\"text\":\"\"}\n{\"text\":\"z\"}", text,
           "a\n\xc3\xa9\xff\xffz\xff", 0);
    EXPECT("a.json", "{\"body\":\"x\\u0000y\"}\n", body, "x\0y\xff", 0);
    EXPECT("a.txt", "{\"text\":\"\x80\"}", forced, "\xef\xbf\xbd\xff", 1);
    EXPECT("a.ndjson", "{\"text\":\"\\ud83d\\ude00 \\ud83d. \\\\ud83d \\ude00\\uD83D\"}", text,
           "\xf0\x9f\x98\x80 \xef\xbf\xbd. \\ud83d \xef\xbf\xbd\xef\xbf\xbd\xff", 3);
}

Test(text, bad_json_lines_are_named)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"text\":\"a\"}\n{\"text\":\"b\"\n", "bad.jsonl:2: not JSON, column"},
        {"{\"text\":\"a\"}\n\n[1]\n", "bad.jsonl:3: expected a JSON object such as {\"text\""},
        {"{\"title\":\"a\",\"body\":\"b\"}", "bad.jsonl:1: no string in a field \"text\" (the "
                                             "fields are: title, body)"},
        {"{\"text\":7}", "bad.jsonl:1: no string in a field \"text\""},
        {"{}", "(the fields are: none)"},
        {"\xff\xfe{\0", "UTF-16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_buffer got;
        int64_t repaired;
        struct tempfile file = write_file("bad.jsonl", cases[i].text, strlen(cases[i].text));
        cr_expect_eq(read_documents(&got, file.path, (struct lab_document_options){.strict = true},
                                    &repaired),
                     PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].says), "case %zu: %s", i,
                  peer_ctx_error(ctx));
        lab_buffer_free(&got);
    }
}

/* What many programs write is read where its text is clear. */
Test(text, odd_records_are_read_where_their_text_is_clear)
{
    struct lab_document_options any = {.strict = true};
    EXPECT("a.jsonl",
           "{\"hash\":13456789012345678901,\"text\":\"a\"}\n"
           "{\"n\":123456789012345678901234567890e999,\"m\":-0.5E-400,\"text\":\"b\"}\n"
           "{\"score\":NaN,\"low\":-Infinity,\"high\":Infinity,\"text\":\"c\"}\n"
           "{\"x\":1,\"x\":2,\"text\":\"d\"}\n"
           "{\"text\":\"e\",\"text\":\"e\"}\n",
           any,
           "a\xff"
           "b\xff"
           "c\xff"
           "d\xff"
           "e\xff",
           0);
    EXPECT("a.jsonl", "{\"te\\u0078t\":\"tab\t, \1 and a raw\0NUL\"}\r\n", any,
           "tab\t, \1 and a raw\0NUL\xff", 0);
    EXPECT("a.jsonl", "{\"a\":[{\"text\":\"no\"},[],{}],\"text\":\"yes\",\"b\":{\"text\":null}}",
           any, "yes\xff", 0);
    EXPECT("a.jsonl", "{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\ud834\\udd1e\"}", any,
           "\"\\/\b\f\n\r\t\xe2\x82\xac\xf0\x9d\x84\x9e\xff", 0);
}

/* A mark at the start of each, and no line feed at the end of one. */
Test(text, joined_files_are_read)
{
    struct lab_document_options any = {.strict = true};
    EXPECT("a.jsonl",
           "\xef\xbb\xbf{\"text\":\"a\"}\n\xef\xbb\xbf{\"text\":\"b\"}\xef\xbb\xbf"
           "{\"text\":\"c\"}{\"text\":\"d\"}\n\xef\xbb\xbf\n \n",
           any,
           "a\xff"
           "b\xff"
           "c\xff"
           "d\xff",
           0);
}

/* As deep as the limit, and one deeper. */
Test(text, depth_has_a_limit)
{
    for (int more = 0; more < 2; more++) {
        int depth = 4096 + more;
        char *text = malloc(2 * (size_t)depth + 64), *at = text;
        at += sprintf(at, "{\"text\":\"a\",\"b\":");
        memset(at, '[', (size_t)depth);
        memset(at + depth, ']', (size_t)depth);
        at += 2 * depth;
        at += sprintf(at, "}\n");
        struct tempfile file = write_file("deep.jsonl", text, (size_t)(at - text));
        struct lab_buffer got;
        int64_t repaired;
        enum peer_status status = read_documents(
            &got, file.path, (struct lab_document_options){.strict = true}, &repaired);
        cr_expect_eq(status, more ? PEER_ERR_FORMAT : PEER_OK);
        cr_expect(!more || strstr(peer_ctx_error(ctx), "more than 4096"), "%s",
                  peer_ctx_error(ctx));
        lab_buffer_free(&got);
        free(text);
    }
}

/* Each bad line stands between two good ones. */
Test(text, records_that_are_not_clear_are_left_out_and_the_first_is_named)
{
    static const char *const bad[] = {"{\"text\":null}",
                                      "{\"text\":7}",
                                      "{}",
                                      "{\"title\":\"a\"}",
                                      "[1]",
                                      "null",
                                      "\"text\"",
                                      "{\"text\":\"a\",\"text\":\"b\"}",
                                      "{\"text\":\"a\"",
                                      "{\"text\":\"a",
                                      "{\"text\":\"a\\",
                                      "{\"text\":\"\\u12\"}",
                                      "{\"text\":\"\\x41\"}",
                                      "{\"text\" \"a\"}",
                                      "{text:\"a\"}",
                                      "{\"text\":\"a\",}",
                                      "{\"n\":01x,\"text\":\"a\"}",
                                      "{\"n\":+1,\"text\":\"a\"}",
                                      "{\"n\":1.,\"text\":\"a\"}",
                                      "{\"n\":nan,\"text\":\"a\"}",
                                      "{\"n\":[1},\"text\":\"a\"}",
                                      "{\"n\":[1,],\"text\":\"a\"}",
                                      "{\"n\":{\"a\":},\"text\":\"a\"}",
                                      "text",
                                      "{",
                                      "\xef\xbb\xbf["};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256], first[64];
        int size = snprintf(text, sizeof text, "{\"text\":\"1\"}\n%s\n{\"text\":\"2\"}\n%s\n",
                            bad[i], bad[i]);
        struct tempfile file = write_file("odd.jsonl", text, (size_t)size);
        struct lab_buffer got = lab_buffer_create(ctx);
        struct lab_document_notes notes = {0};
        struct lab_document_options options = {.strict = false};
        struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = &got};
        cr_assert_eq(lab_documents_read(ctx, file.path, &options, &sink, &notes), PEER_OK, "%s",
                     bad[i]);
        cr_expect(got.count == 4 && memcmp(got.bytes,
                                           "1\xff"
                                           "2\xff",
                                           4) == 0,
                  "%s: %.*s", bad[i], (int)got.count, got.bytes);
        cr_expect_eq(notes.skipped, 2, "%s: %lld", bad[i], (long long)notes.skipped);
        snprintf(first, sizeof first, "%s", "odd.jsonl:2: ");
        cr_expect(strstr(notes.first, first), "%s: %s", bad[i], notes.first);
        options.strict = true;
        cr_expect_eq(lab_documents_read(ctx, file.path, &options, &sink, &notes), PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(ctx), first), "%s", peer_ctx_error(ctx));
        file = write_file("none.jsonl", bad[i], strlen(bad[i]));
        options.strict = false;
        cr_expect_eq(lab_documents_read(ctx, file.path, &options, &sink, &notes), PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(ctx), "none.jsonl:1: ") &&
                      strstr(peer_ctx_error(ctx), "not one of the 1 records"),
                  "%s", peer_ctx_error(ctx));
        lab_buffer_free(&got);
    }
}

/* Packed to a few hundred kilobytes: the longest line that is read, and one a byte longer. */
Test(text, lines_have_a_limit_that_the_message_names)
{
    enum { MOST = 1 << 28, CHUNK = 1 << 20 };
    static const char start[] = "{\"text\":\"short\"}\n{\"a\":\"",
                      end[] = "\",\"text\":\"long\"}\n";
    static uint8_t chunk[CHUNK];
    memset(chunk, 'x', CHUNK);
    for (int more = 0; more < 2; more++) {
        int64_t left = MOST + more - (int64_t)(strlen(start) + strlen(end) - 17 - 1);
        struct tempfile file = tempdir_file(&dir, "long.jsonl.gz");
        gzFile stream = gzopen(file.path, "wb1");
        gzwrite(stream, start, (unsigned)strlen(start));
        for (; left > 0; left -= CHUNK)
            gzwrite(stream, chunk, (unsigned)(left < CHUNK ? left : CHUNK));
        gzwrite(stream, end, (unsigned)strlen(end));
        gzputs(stream, "{\"text\":\"last\"}\n");
        gzclose(stream);
        struct lab_buffer got = lab_buffer_create(ctx);
        struct lab_document_notes notes = {0};
        struct lab_document_options options = {.strict = false};
        struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = &got};
        cr_assert_eq(lab_documents_read(ctx, file.path, &options, &sink, &notes), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_expect_eq(notes.skipped, more);
        cr_expect_eq(got.count, more ? 11 : 16);
        cr_expect(!more || strstr(notes.first, "gz:2: a line of more than 268435456 bytes"), "%s",
                  notes.first);
        lab_buffer_free(&got);
    }
}

/* A pipe that brings one byte at a time gives the same as a file. */
Test(text, standard_input_in_small_parts)
{
    static const char bytes[] = "\xf0\x9f\x98\x80 a\n--\n\xe2\x82";
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    if (fork() == 0) {
        for (size_t i = 0; i < sizeof bytes - 1; i++)
            if (write(ends[1], bytes + i, 1) != 1 || usleep(1000))
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct lab_buffer got;
    int64_t repaired;
    struct lab_document_options options = {.mark = "--"};
    cr_assert_eq(read_documents(&got, "-", options, &repaired), PEER_OK);
    static const char expected[] = "\xf0\x9f\x98\x80 a\n\xff\xef\xbf\xbd\xff";
    cr_expect_eq(got.count, (int64_t)sizeof expected - 1);
    cr_expect(memcmp(got.bytes, expected, sizeof expected - 1) == 0);
    cr_expect_eq(repaired, 1);
    lab_buffer_free(&got);
}

/* Folders are walked by name; what is not called like text is passed over, unless named. */
Test(text, folders_stand_for_the_text_in_them)
{
    static const char *const names[] = {"b.txt",       "sub/c.jsonl.gz", "sub/a.MD", "picture.png",
                                        ".hidden.txt", "z.txt.zst",      "a.tokens"};
    static const char *const expected[] = {"a.tokens", "b.txt", "sub/a.MD", "sub/c.jsonl.gz",
                                           "z.txt.zst"};
    struct tempfile sub = tempdir_file(&dir, "sub");
    cr_assert_eq(mkdir(sub.path, 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        write_file(names[i], "12345", 5);
    const char *folder[] = {dir.path};
    struct lab_inputs inputs;
    cr_assert_eq(lab_inputs_expand(&inputs, ctx, folder, 1), PEER_OK);
    cr_expect_eq(inputs.files, 5);
    cr_expect_eq(inputs.bytes, 25);
    cr_expect_eq(inputs.passed_over, 1);
    const char *path = NULL;
    for (size_t i = 0; i < 5; i++) {
        struct tempfile file = tempdir_file(&dir, expected[i]);
        path = lab_inputs_next(&inputs, path);
        cr_expect_str_eq(path, file.path);
    }
    cr_expect_null(lab_inputs_next(&inputs, path));
    lab_inputs_free(&inputs);

    struct tempfile picture = tempdir_file(&dir, "picture.png");
    const char *named[] = {picture.path, "-"};
    cr_assert_eq(lab_inputs_expand(&inputs, ctx, named, 2), PEER_OK);
    cr_expect_eq(inputs.files, 2);
    lab_inputs_free(&inputs);
}

Test(text, folders_without_text_and_missing_names_are_refused)
{
    struct tempfile none = tempdir_file(&dir, "none");
    const char *names[] = {dir.path, none.path};
    struct lab_inputs inputs;
    cr_expect_eq(lab_inputs_expand(&inputs, ctx, names, 1), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "no text in this folder"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(lab_inputs_expand(&inputs, ctx, names + 1, 1), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "none: cannot open: No such file"), "%s",
              peer_ctx_error(ctx));
}

/* Every allocation of a reader may fail: an error, and nothing stays behind. */
Test(text, readers_survive_failing_allocations)
{
    struct tempfile file = write_file("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 26);
    for (int64_t granted = 0;; granted++) {
        struct failing little = {.granted = -1};
        struct peer_ctx *poor = failing_ctx(&little, 1);
        struct lab_document_notes notes = {0};
        int64_t base = little.asked;
        int64_t held = little.held;
        little.granted = base + granted;
        struct lab_buffer got = lab_buffer_create(poor);
        struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = &got};
        struct lab_document_options options = {0};
        enum peer_status status = lab_documents_read(poor, file.path, &options, &sink, &notes);
        lab_buffer_free(&got);
        cr_expect_eq(little.held, held);
        cr_expect(status == PEER_OK || status == PEER_ERR_MEMORY);
        peer_ctx_destroy(&poor);
        if (status == PEER_OK) {
            cr_expect_geq(granted, 4);
            break;
        }
    }
}
