/* SPDX-License-Identifier: MIT */
#include "experiments/facts/grammar.h"

#include <stdio.h>
#include <string.h>

enum word { STOP = LAB_FACTS_STOP, COMMA, OWN, THE, OF, IS, HAS, AS, TO, FOR, WE, KNOW, BE, WORDS };

/* What a sentence is filled in with. */
enum slot { NAME = WORDS, ATTRIBUTE, VALUE, END };

#define SPACE "\xe2\x96\x81" /* U+2581 */

static const char *const words[WORDS] = {
    ".",        ",",        "'s",        SPACE "the", SPACE "of",   SPACE "is", SPACE "has",
    SPACE "as", SPACE "to", SPACE "for", SPACE "we",  SPACE "know", SPACE "be",
};

static const char *const attributes[LAB_FACTS_ATTRIBUTES] = {
    "town",   "trade", "colour", "animal", "food", "street", "school", "song",
    "friend", "book",  "river",  "stone",  "tree", "drink",  "game",   "metal",
    "boat",   "dance", "month",  "bird",   "tool", "cloth",  "flower", "star"};

/* The value stands last in all, so that what comes before is enough to know it. */
static const unsigned char templates[LAB_FACTS_TEMPLATES][LAB_FACTS_SENTENCE + 1] = {
    {NAME, OWN, ATTRIBUTE, IS, VALUE, STOP, END},
    {THE, ATTRIBUTE, OF, NAME, IS, VALUE, STOP, END},
    {NAME, HAS, THE, ATTRIBUTE, VALUE, STOP, END},
    {AS, TO, ATTRIBUTE, COMMA, NAME, HAS, VALUE, STOP, END},
    {FOR, NAME, THE, ATTRIBUTE, IS, VALUE, STOP, END},
    {WE, KNOW, THE, ATTRIBUTE, OF, NAME, TO, BE, VALUE, STOP, END},
};

static int64_t first_names(const struct lab_facts_config *config)
{
    return WORDS + config->attributes;
}

int64_t lab_facts_value_id(const struct lab_facts_config *config, int64_t value)
{
    return first_names(config) + 2 * config->names + value;
}

int64_t lab_facts_vocabulary(const struct lab_facts_config *config)
{
    return lab_facts_value_id(config, config->values);
}

int lab_facts_sentence(uint16_t *ids, const struct lab_facts *facts, int64_t fact, int template)
{
    const struct lab_facts_config *config = &facts->config;
    int64_t names = config->names, name = facts->name[fact / config->attributes];
    int length = 0;
    for (const unsigned char *at = templates[template]; *at != END; at++)
        switch (*at) {
        case NAME:
            ids[length++] = (uint16_t)(first_names(config) + name / names);
            ids[length++] = (uint16_t)(first_names(config) + names + name % names);
            break;
        case ATTRIBUTE:
            ids[length++] = (uint16_t)(WORDS + fact % config->attributes);
            break;
        case VALUE:
            ids[length++] = (uint16_t)lab_facts_value_id(config, facts->value[fact]);
            break;
        default:
            ids[length++] = *at;
        }
    return length;
}

int lab_facts_template_tokens(int template)
{
    int length = 1; /* a name has two words */
    for (const unsigned char *at = templates[template]; *at != END; at++)
        length++;
    return length;
}

/* A made-up word: a syllable for every digit of `index` to the base of 100, the lowest first, and
 * at least two. */
static void say(char piece[LAB_FACTS_WORD], int64_t index, const char *ending, bool capital)
{
    static const char consonants[] = "bcdfghjklmnprstvwxyz", vowels[] = "aeiou";
    enum { SYLLABLES = 100, MOST = 5 };
    char word[2 * MOST + 1] = "";
    for (int digits = 0; digits < 2 || index > 0; digits++, index /= SYLLABLES) {
        word[2 * digits] = consonants[index % SYLLABLES / 5];
        word[2 * digits + 1] = vowels[index % SYLLABLES % 5];
    }
    if (capital)
        *word = (char)(*word - 'a' + 'A');
    snprintf(piece, LAB_FACTS_WORD, SPACE "%s%s", word, ending);
}

void lab_facts_word(char piece[LAB_FACTS_WORD], const struct lab_facts_config *config, int64_t id)
{
    int64_t name = id - first_names(config), names = config->names;
    if (id < WORDS)
        snprintf(piece, LAB_FACTS_WORD, "%s", words[id]);
    else if (name < 0)
        snprintf(piece, LAB_FACTS_WORD, SPACE "%s", attributes[id - WORDS]);
    else if (name < names)
        say(piece, name, "", true);
    else if (name < 2 * names)
        say(piece, name - names, "son", true);
    else
        say(piece, name - 2 * names, "k", false);
}
