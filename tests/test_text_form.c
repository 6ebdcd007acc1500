/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "experiments/runs/text_form.h"

static struct peer_ctx *ctx;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void tear_down(void)
{
    peer_ctx_destroy(&ctx);
}

TestSuite(text_form, .init = set_up, .fini = tear_down);

static struct lab_buffer buffer_of(const char *text)
{
    struct lab_buffer buffer = lab_buffer_create(ctx);
    cr_assert_eq(lab_buffer_add_text(&buffer, text), PEER_OK);
    return buffer;
}

Test(text_form, by_prefix_or_by_name)
{
    static const struct {
        const char *argument, *path;
        enum lab_form form;
    } cases[] = {
        {"a.txt", "a.txt", LAB_FORM_PLAIN},
        {"-", "-", LAB_FORM_PLAIN},
        {"folder", "folder", LAB_FORM_PLAIN},
        {"a.jsonl", "a.jsonl", LAB_FORM_JSON},
        {"a.json.gz", "a.json.gz", LAB_FORM_JSON},
        {"x/wiki.test.tokens", "x/wiki.test.tokens", LAB_FORM_WIKITEXT},
        {"wiki.test.RAW.zst", "wiki.test.RAW.zst", LAB_FORM_WIKITEXT},
        {".raw", ".raw", LAB_FORM_PLAIN},
        {"lambada:a.jsonl", "a.jsonl", LAB_FORM_LAMBADA},
        {"detok:wiki.raw", "wiki.raw", LAB_FORM_DETOK},
        {"wikitext:-", "-", LAB_FORM_WIKITEXT},
        {"json:a.txt", "a.txt", LAB_FORM_JSON},
        {"plain:a.jsonl", "a.jsonl", LAB_FORM_PLAIN},
        {"plain:b:c", "b:c", LAB_FORM_PLAIN},
        {"plai:a.txt", "plai:a.txt", LAB_FORM_PLAIN},
        {"held-out:a.txt", "held-out:a.txt", LAB_FORM_PLAIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_text_source source = lab_text_source_parse(cases[i].argument);
        cr_expect_eq(source.form, cases[i].form, "%s", cases[i].argument);
        cr_expect_str_eq(source.path, cases[i].path);
    }
}

Test(text_form, words_and_line_ends)
{
    static const struct {
        const char *text;
        int64_t words;
    } cases[] = {{"", 0},       {" ", 0},        {"\n", 1},
                 {" a b ", 2},  {"a\tb", 2},     {" \n = T = \n \n", 6},
                 {"a\r\nb", 3}, {"<unk> , x", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(
            lab_wikitext_words((const uint8_t *)cases[i].text, (int64_t)strlen(cases[i].text)),
            cases[i].words, "\"%s\"", cases[i].text);
}

/* Each rule, and where they meet: what the rules of lm-evaluation-harness give. */
Test(text_form, detokenized)
{
    static const char *const cases[][2] = {
        {"", ""},
        {" @-@ ", "-"},
        {"guest @-@ starring 1 @,@ 000 3 @.@ 5", "guest-starring 1,000 3.5"},
        {"a @-@ @-@ b", "a-@-@ b"},
        {" A , b ; c : d . E ! F ? G", " A, b; c: d. E! F? G"},
        {"end .", "end ."},
        {"( 24 in ) and [ x ] { y }", "(24 in) and [x] {y}"},
        {"( a ( b ) c )", "(a ( b) c )"},
        {"( )", "()"},
        {"( open", "( open"},
        {"\" Craig \" in \" Teddy 's Story \" of", "\"Craig\" in \"Teddy's Story\" of"},
        {"the dogs ' tails", "the dogs' tails"},
        {"' q '", "'q'"},
        {"it 's", "it's"},
        {" \n = Title = \n \n = = Early = = \n", "\n= Title =\n\n== Early ==\n"},
        {"= = = = x", "==== x"},
        {"20 \xc2\xb0 N of", "20\xc2\xb0N of"},
        {"in N places", "in 1 places"},
        {"\"\n a\t\"b", "\"a\"b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_buffer text = buffer_of(cases[i][0]);
        lab_detokenize(&text);
        cr_expect(text.count == (int64_t)strlen(cases[i][1]) &&
                      memcmp(text.bytes, cases[i][1], (size_t)text.count) == 0,
                  "\"%s\" became \"%.*s\"", cases[i][0], (int)text.count, (const char *)text.bytes);
        lab_buffer_free(&text);
    }
}

Test(text_form, last_word)
{
    static const struct {
        const char *text;
        int64_t bytes, count;
    } cases[] = {{"a b", 2, 3},     {"no signs", 6, 8}, {"a b \n", 2, 3}, {"a  \xc3\xa9", 3, 5},
                 {"one", 0, 3},     {"", 0, 0},         {"  ", 0, 0},     {" one", 0, 4},
                 {"\n one ", 0, 5}, {"a b\nc", 4, 5},   {"one ", 0, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_buffer text = buffer_of(cases[i].text);
        cr_expect_eq(lab_last_word(&text), cases[i].bytes, "\"%s\"", cases[i].text);
        cr_expect_eq(text.count, cases[i].count, "\"%s\"", cases[i].text);
        lab_buffer_free(&text);
    }
}
