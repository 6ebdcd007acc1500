/* SPDX-License-Identifier: MIT */
#include "experiments/facts/entropy.h"

#include <math.h>

#include "experiments/facts/grammar.h"

/* log2 n! */
static double factorial_bits(double n)
{
    return lgamma(n + 1) / log(2);
}

struct lab_facts_entropy lab_facts_entropy(const struct lab_facts_config *config)
{
    double people = (double)config->people, facts = people * (double)config->attributes;
    double names = (double)config->names * (double)config->names;
    double templates = (double)config->templates, tokens = 0;
    for (int i = 0; i < config->templates; i++)
        tokens += lab_facts_template_tokens(i) / templates;
    double value = log2((double)config->values), sentence = log2(facts * templates);
    return (struct lab_facts_entropy){
        .table_bits = facts * value,
        .names_bits =
            factorial_bits(names) - factorial_bits(people) - factorial_bits(names - people),
        .sentence_bits = sentence,
        .value_bits = value,
        .round_bits = factorial_bits(facts) + facts * log2(templates),
        .sentence_tokens = tokens,
        .exposure_tokens = facts * tokens,
        .known_nats = sentence * log(2) / tokens,
        .unknown_nats = (sentence + value) * log(2) / tokens,
    };
}
