/* SPDX-License-Identifier: MIT */
#include "experiments/data/synthetic.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiments/cli/progress.h"
#include "experiments/data/corpus_text.h"
#include "experiments/data/data_folder.h"
#include "experiments/data/text_json.h"
#include "nn/random.h"

enum kind { NOUN, VERB, ADJECTIVE, NAME, TOWN, KINDS };

enum { PEOPLE = 3, MORE_MAX = 20, WORD_MAX = 32, NOUNS = 4000 };

static const int kind_sizes[KINDS] = {NOUNS, 1000, 500, 2000, 300};

static const char *const trades[] = {"baker",  "weaver",  "smith",   "miller",
                                     "sailor", "teacher", "painter", "carpenter",
                                     "doctor", "singer",  "farmer",  "printer"};
static const char *const colours[] = {"red",   "blue", "green", "yellow", "black",
                                      "white", "grey", "brown", "purple", "golden"};
static const char *const places[] = {"near", "behind", "under", "beside", "above", "inside"};

#define COUNT(list) ((int)(sizeof list / sizeof *list))

/* What each code in a sentence stands for: of the person spoken of, %N name, %s he or she, %h his
 * or her, %t trade, %w town, %o what they own, %c its colour, %k how many, %+ a number that is
 * added to it; of another person of the story, %M name; drawn anew, %n noun, %p plural noun, %v
 * verb with a singular subject, %u with a plural one, %a adjective, %i place. */
static const char *const openings[] = {
    "%N was a %t in %w and had %k %c %ps.",
    "In %w lived a %t called %N, who owned %k %c %ps.",
};
static const char *const sentences[] = {
    "%N %v the %a %n.",
    "the %p %u %i the %n.",
    "%N, the %t from %w, %v %h %c %o.",
    "the %n that %N %v %v the %p.",
    "%N has %k %o and gets %+ more, so that %s has %k.",
    "what colour has the %o of %N? It is %c.",
    "the %a %p of %M %u the %n.",
    "%M asks %N about the %n, because %s is a %t.",
    "in %w, %N %v a %n %i the %a %n.",
    "every %n %v, but the %p %u.",
};

struct person {
    int name, trade, town, thing, colour;
    int64_t count;
    bool woman;
};

struct teller {
    uint64_t seed, stream, draws;
    double bits;
    const double *zipf; /* [NOUNS], harmonic numbers H_1 ... */
    struct person people[PEOPLE];
    struct lab_buffer text;
    enum peer_status status;
    bool start; /* of a sentence */
};

static int draw(struct teller *teller, int count)
{
    teller->bits += log2(count);
    return (int)peer_random_below(teller->seed, teller->stream, teller->draws++, (uint32_t)count);
}

/* 0 ... count-1, where r has a probability in proportion to 1 / (r + 1). */
static int draw_zipf(struct teller *teller, int count)
{
    double bits = peer_random_bits(teller->seed, teller->stream, teller->draws++);
    double goal = (bits + 0.5) / 4294967296.0 * teller->zipf[count - 1];
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (teller->zipf[middle] < goal)
            low = middle + 1;
        else
            high = middle;
    }
    teller->bits += log2(teller->zipf[count - 1] * (low + 1));
    return low;
}

static void say(struct teller *teller, const char *text)
{
    char first[2] = {teller->start ? (char)toupper((unsigned char)*text) : *text, '\0'};
    if (!*text)
        return;
    teller->start = false;
    if (teller->status == PEER_OK)
        teller->status = lab_buffer_add_text(&teller->text, first);
    if (teller->status == PEER_OK)
        teller->status = lab_buffer_add_text(&teller->text, text + 1);
}

static void say_number(struct teller *teller, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    say(teller, text);
}

/* Word `rank` of a kind: syllables drawn by the rank alone, so that all texts share the words;
 * frequent words are short. */
static void say_word(struct teller *teller, enum kind kind, int rank, const char *ending)
{
    static const char *const heads[] = {"b", "br", "d", "dr", "f", "fl", "g",  "gr",
                                        "h", "k",  "l", "m",  "n", "p",  "pl", "r",
                                        "s", "st", "t", "tr", "v", "w"};
    static const char *const middles[] = {"a", "e", "i", "o", "u", "ai", "ea", "oo"};
    static const char *const tails[] = {"", "l", "n", "r", "t", "m", "nd", "rk", "st", "d"};
    char word[WORD_MAX + 8];
    int length = 0;
    uint64_t stream = peer_stream("made-up words") + kind;
    int syllables = kind == NAME || kind == TOWN ? 2 : rank < 40 ? 1 : rank < 900 ? 2 : 3;
    for (int i = 0; i < syllables && length < WORD_MAX - 8; i++) {
        uint32_t bits = peer_random_bits(1, stream, (uint64_t)(4 * rank + i));
        length += snprintf(word + length, sizeof word - (size_t)length, "%s%s%s",
                           heads[bits % COUNT(heads)], middles[(bits >> 8) % COUNT(middles)],
                           tails[(bits >> 16) % COUNT(tails)]);
    }
    snprintf(word + length, sizeof word - (size_t)length, "%s", ending);
    if (kind == NAME || kind == TOWN)
        *word = (char)toupper((unsigned char)*word);
    say(teller, word);
}

static void say_code(struct teller *teller, char code, struct person *person)
{
    switch (code) {
    case 'N':
        say_word(teller, NAME, person->name, "");
        break;
    case 'M':
        say_word(teller, NAME, teller->people[draw(teller, PEOPLE)].name, "");
        break;
    case 's':
        say(teller, person->woman ? "she" : "he");
        break;
    case 'h':
        say(teller, person->woman ? "her" : "his");
        break;
    case 't':
        say(teller, trades[person->trade]);
        break;
    case 'w':
        say_word(teller, TOWN, person->town, "");
        break;
    case 'o':
        say_word(teller, NOUN, person->thing, "s");
        break;
    case 'c':
        say(teller, colours[person->colour]);
        break;
    case 'k':
        say_number(teller, person->count);
        break;
    case '+': {
        int more = 1 + draw(teller, MORE_MAX);
        say_number(teller, more);
        person->count += more;
        break;
    }
    case 'n':
        say_word(teller, NOUN, draw_zipf(teller, NOUNS), "");
        break;
    case 'p':
        say_word(teller, NOUN, draw_zipf(teller, NOUNS), "s");
        break;
    case 'v':
        say_word(teller, VERB, draw_zipf(teller, kind_sizes[VERB]), "s");
        break;
    case 'u':
        say_word(teller, VERB, draw_zipf(teller, kind_sizes[VERB]), "");
        break;
    case 'a':
        say_word(teller, ADJECTIVE, draw_zipf(teller, kind_sizes[ADJECTIVE]), "y");
        break;
    default:
        say(teller, places[draw(teller, COUNT(places))]);
    }
}

static void say_sentence(struct teller *teller, const char *pattern, struct person *person)
{
    char letter[2] = "";
    teller->start = true;
    for (const char *at = pattern; *at; at++) {
        if (*at == '%') {
            say_code(teller, *++at, person);
            continue;
        }
        *letter = *at;
        say(teller, letter);
    }
}

static void tell(struct teller *teller)
{
    for (int i = 0; i < PEOPLE; i++) {
        struct person *person = &teller->people[i];
        *person = (struct person){.name = draw_zipf(teller, kind_sizes[NAME]),
                                  .trade = draw(teller, COUNT(trades)),
                                  .town = draw_zipf(teller, kind_sizes[TOWN]),
                                  .thing = draw_zipf(teller, NOUNS),
                                  .colour = draw(teller, COUNT(colours)),
                                  .count = 2 + draw(teller, 30)};
        person->woman = person->name % 2;
        say_sentence(teller, openings[draw(teller, COUNT(openings))], person);
        say(teller, i + 1 < PEOPLE ? " " : "\n");
    }
    for (int paragraphs = 3 + draw(teller, 8); paragraphs > 0; paragraphs--) {
        struct person *person = &teller->people[draw(teller, PEOPLE)];
        say(teller, "\n");
        for (int left = 3 + draw(teller, 5); left > 0; left--) {
            say_sentence(teller, sentences[draw_zipf(teller, COUNT(sentences))], person);
            say(teller, left > 1 ? " " : "\n");
        }
    }
}

static const double *harmonic_numbers(struct peer_pool *pool)
{
    double *sums = peer_pool_alloc(pool, "harmonic numbers", sizeof *sums, NOUNS, 1, 1);
    double sum = 0;
    for (int i = 0; sums && i < NOUNS; i++)
        sums[i] = sum += 1.0 / (i + 1);
    return sums;
}

static enum peer_status write_stories(struct lab_synthetic_report *report, struct teller *teller,
                                      struct lab_text_file *file, int64_t bytes,
                                      const struct lab_work *work)
{
    struct lab_progress progress;
    struct peer_ctx *ctx = teller->text.pool.ctx;
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "making up text", "bytes", (double)bytes, 0);
    while (status == PEER_OK && report->bytes < bytes) {
        teller->text.count = 0;
        tell(teller);
        status = teller->status;
        if (status == PEER_OK)
            status = lab_text_file_add(file, (const char *)teller->text.bytes, teller->text.count);
        report->bytes += teller->text.count;
        report->documents++;
        report->bits = teller->bits;
        if (work->show)
            lab_progress_update(&progress, (double)report->bytes, NULL);
        if (status == PEER_OK)
            status = lab_work_check(ctx, work);
    }
    lab_progress_end(&progress);
    return status;
}

enum peer_status lab_synthetic_make(struct lab_synthetic_report *ret, struct peer_ctx *ctx,
                                    const struct lab_synthetic_options *options,
                                    const struct lab_work *work)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_folder folder = {.ctx = ctx};
    struct lab_text_file file = {.file = NULL};
    struct lab_synthetic_report report = {0};
    struct teller teller = {.seed = options->seed,
                            .stream = peer_stream("stories"),
                            .zipf = harmonic_numbers(&pool),
                            .text = lab_buffer_create(ctx)};
    enum peer_status status =
        pool.failed ? PEER_ERR_MEMORY
                    : lab_folder_create(&folder, ctx, options->out, LAB_SOURCES, options->force);
    if (status == PEER_OK)
        status = lab_text_file_create(&file, &folder, "synthetic");
    if (status == PEER_OK)
        status = write_stories(&report, &teller, &file, options->bytes, work);
    if (status == PEER_OK)
        status = lab_text_file_finish(&file);
    if (status == PEER_OK)
        status =
            lab_sources_add(&folder,
                            "synthetic.jsonl: made up by peerlab data synthetic, "
                            "seed %llu, %lld stories, %lld bytes of text, "
                            "CRC-32 %08x; at most %.4f bits per byte\n",
                            (unsigned long long)options->seed, (long long)report.documents,
                            (long long)report.bytes, file.crc, report.bits / (double)report.bytes);
    lab_text_file_abandon(&file);
    if (*folder.temporary)
        status = lab_folder_finish(&folder, status);
    lab_buffer_free(&teller.text);
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = report;
    return status;
}
