/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "experiments/data/clean.h"
#include "tests/support/tempdir.h"

static struct tempdir dir;
static struct peer_ctx *ctx;

static void setup(void)
{
    dir = tempdir_create();
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void teardown(void)
{
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(clean, .init = setup, .fini = teardown);

/* Cleans a file and gives the JSON lines that came of it, or NULL; free() them. */
static char *clean(lab_clean_file *cleaner_of, const struct tempfile *in, enum peer_status expected)
{
    struct lab_folder folder = {.ctx = ctx};
    struct lab_text_file file;
    snprintf(folder.temporary, sizeof folder.temporary, "%s", dir.path);
    cr_assert_eq(lab_text_file_create(&file, &folder, "cleaned"), PEER_OK);
    struct lab_cleaner cleaner = lab_cleaner_create(ctx, &file);
    cr_expect_eq(cleaner_of(&cleaner, in->path), expected, "%s", peer_ctx_error(ctx));
    lab_cleaner_free(&cleaner);
    cr_assert_eq(lab_text_file_finish(&file), PEER_OK);
    struct tempfile out = tempdir_file(&dir, "cleaned.jsonl");
    size_t size;
    char *text = tempfile_read(&out, &size), *ended = calloc(size + 1, 1);
    memcpy(ended, text, size);
    free(text);
    return ended;
}

static void expect_clean(lab_clean_file *cleaner, const char *name, const void *bytes, size_t size,
                         const char *expected)
{
    struct tempfile in = tempdir_file(&dir, name);
    tempfile_write(&in, bytes, size);
    char *got = clean(cleaner, &in, PEER_OK);
    cr_expect_str_eq(got, expected);
    free(got);
}

Test(clean, markdown)
{
    static const char text[] =
        "# A.2  What\n\n\n**_The man  \nOf virtuous soul_**\n\nLines of one\nparagraph, **social** "
        ", snake_case and _\"emphasis. . . is **here**.\"_ [Murray\nBookchin, **The Modern "
        "Crisis** , p. 79] Socialism . . . on (See\nsection -- [ Why do\nanarchists?](secA2.md"
        "#seca22)). 1\\. one \\- two\n\n* * *\n\n![picture of it](a.png)\n\n\xe2\x80\xb9 [back]"
        "(a.md) [next](b.md) \xe2\x80\xba\n\n  * a list\n  * goes on\n\n> quoted\n> text\n";
    expect_clean(
        lab_clean_markdown, "a.md", text, sizeof text - 1,
        "{\"text\":\"A.2 What\\n\\nThe man\\nOf virtuous soul\\n\\nLines of one paragraph, "
        "social, snake_case and \\\"emphasis. . . is here.\\\" [Murray Bookchin, The "
        "Modern Crisis, p. 79] Socialism . . . on (See section -- Why do anarchists?). "
        "1. one - two\\n\\npicture of it\\n\\n* a list\\n* goes on\\n\\nquoted text\"}\n");
}

/* What closes a bracket is found for all of a line at once: searched for anew from every one, it
 * would be some 10^12 steps here. */
Test(clean, markdown_of_brackets)
{
    enum { MANY = 2000000 };
    static const char few[] = "words [ (a] [b [c](d) e](f) [g](h ) i](j\n";
    expect_clean(lab_clean_markdown, "b.md", few, sizeof few - 1,
                 "{\"text\":\"words [(a] b [c](d) e g i](j\"}\n");
    char *text = malloc(MANY);
    cr_assert(text);
    memset(text, '[', MANY);
    memcpy(text, "words ", 6);
    struct tempfile in = tempdir_file(&dir, "c.md");
    tempfile_write(&in, text, MANY);
    char *got = clean(lab_clean_markdown, &in, PEER_OK);
    cr_expect_eq(strlen(got), MANY + strlen("{\"text\":\"\"}\n"));
    free(got);
    free(text);
}

/* Packs text into a block of a SWORD module and writes both files. */
static struct tempfile write_sword(const char *text, uint32_t size)
{
    uint8_t packed[2000], record[12] = {0};
    uLongf length = sizeof packed;
    cr_assert_eq(compress(packed, &length, (const Bytef *)text, strlen(text)), Z_OK);
    for (int i = 0; i < 4; i++) {
        record[4 + i] = (uint8_t)(length >> (8 * i));
        record[8 + i] = (uint8_t)(size >> (8 * i));
    }
    struct tempfile data = tempdir_file(&dir, "ot.bzz"), index = tempdir_file(&dir, "ot.bzs");
    tempfile_write(&data, packed, length);
    tempfile_write(&index, record, sizeof record);
    return index;
}

Test(clean, sword)
{
    static const char text[] =
        "<title type=\"main\">Genesis</title> <chapter n=\"1\" sID=\"Gen.1\"/> In the <w "
        "lemma=\"H7225\">beginning</w>,<note place=\"foot\">a <b>note</b></note> God <div "
        "type=\"x-milestone\" sID=\"p\"/>said &amp; saw.\r\n <div eID=\"g\" type=\"x-p\"/>"
        "\xc2\xb6 And &lt;it&gt; was &unknown; so<chapter eID=\"Gen.1\"/><chapter n=\"2\" "
        "sID=\"Gen.2\"/><list><item>two</item></list> <lb/> <cell>a</cell><cell>b</cell>";
    struct tempfile index = write_sword(text, sizeof text - 1);
    char *got = clean(lab_clean_sword, &index, PEER_OK);
    cr_expect_str_eq(got, "{\"text\":\"Genesis\\n\\nIn the beginning, God said & saw.\\n\\nAnd "
                          "<it> was &unknown; so\"}\n{\"text\":\"two\\n\\na b\"}\n");
    free(got);
}

Test(clean, damaged_sword_modules_are_refused)
{
    struct tempfile index = write_sword("text that is longer than it says", 5);
    free(clean(lab_clean_sword, &index, PEER_ERR_FORMAT));
    cr_expect(strstr(peer_ctx_error(ctx), "ot.bzz: the block at 0 is damaged"), "%s",
              peer_ctx_error(ctx));
    uint8_t record[12] = {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0};
    tempfile_write(&index, record, sizeof record);
    free(clean(lab_clean_sword, &index, PEER_ERR_FORMAT));
}

/* A serialized vector of lines, as R writes it. */
static int64_t pack_lines(uint8_t *out, const char *const *lines, int count)
{
    static const uint8_t head[] = {'X', '\n', 0, 0,   0,   3,   0,   4,   2, 1, 0, 3,  5, 0, 0,
                                   0,   0,    5, 'U', 'T', 'F', '-', '8', 0, 0, 0, 16, 0, 0, 0};
    uint8_t plain[4000];
    int64_t size = sizeof head;
    memcpy(plain, head, sizeof head);
    plain[size++] = (uint8_t)count;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(lines[i]);
        const uint8_t item[] = {0, 4, 0, 9, 0, 0, (uint8_t)(length >> 8), (uint8_t)length};
        memcpy(plain + size, item, sizeof item);
        memcpy(plain + size + 8, lines[i], length);
        size += 8 + (int64_t)length;
    }
    const uint8_t length[] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};
    uLongf packed = 4000;
    memcpy(out, length, 4);
    cr_assert_eq(compress(out + 4, &packed, plain, (uLong)size), Z_OK);
    return 4 + (int64_t)packed;
}

Test(clean, rdata)
{
    static const char *const first[] = {
        "EMMA",
        "",
        "VOLUME I",
        "CHAPTER I",
        "",
        "",
        "Emma Woodhouse, handsome, clever, and rich, "
        "with a comfortable home and happy disposition, seemed to",
        "unite some of the best "
        "blessings of existence; and had lived nearly twenty-one years in the world.",
        "",
        "CHAPTER II",
        "Mr. Weston"};
    static const char *const second[] = {"PERSUASION"};
    uint8_t bytes[9000];
    int64_t size = pack_lines(bytes, first, 11);
    size += pack_lines(bytes + size, second, 1);
    static const char expected[] =
        "{\"text\":\"EMMA\\n\\nVOLUME I CHAPTER I\\n\\nEmma Woodhouse, handsome, clever, and rich, "
        "with a comfortable home and happy disposition, seemed to unite some of the best "
        "blessings of existence; and had lived nearly twenty-one years in the world.\"}\n"
        "{\"text\":\"CHAPTER II Mr. Weston\"}\n{\"text\":\"PERSUASION\"}\n";
    expect_clean(lab_clean_rdata, "Rdata.rdb", bytes, (size_t)size, expected);
    /* Cut anywhere, it is refused. */
    for (int64_t cut = 1; cut < size; cut += 7) {
        struct tempfile in = tempdir_file(&dir, "cut.rdb");
        if (cut == pack_lines((uint8_t[4004]){0}, first, 11))
            continue;
        tempfile_write(&in, bytes, (size_t)cut);
        free(clean(lab_clean_rdata, &in, PEER_ERR_FORMAT));
    }
}

Test(clean, fortunes)
{
    static const char text[] = "One line.\n\t-- Somebody\n%\n+--+ |  | +--+\n%\nNot \xc3\xa4sc"
                               "ii.\n%\nTwo\n\nparts\n";
    expect_clean(lab_clean_fortunes, "f", text, sizeof text - 1,
                 "{\"text\":\"One line.\\n-- Somebody\"}\n{\"text\":\"Two\\n\\nparts\"}\n");
}

Test(clean, dictionary)
{
    static const char text[] =
        "\n00-database-info\n   About it.\n\nA \\A\\ ([=a]), n.\n   The first letter. See {B}.\n   "
        "[1913 Webster]\n\n   2. (Mus.) A note. [Obs.] --Shak.\n      [PJC]\n\nCoaita "
        "\\Co*ai\"ta\\ (k[-o]*[aum]\"t[.a]), n. (Zool.)\n   A monkey .\n";
    expect_clean(lab_clean_gcide, "gcide.dict", text, sizeof text - 1,
                 "{\"text\":\"A, n. The first letter. See B.\\n\\n2. (Mus.) A note. [Obs.] "
                 "--Shak.\\n\\nCoaita, n. (Zool.) A monkey.\"}\n");
}
