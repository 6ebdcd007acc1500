/* SPDX-License-Identifier: MIT */
#include "experiments/facts/score.h"

#include <math.h>

void lab_facts_tally_add(struct lab_facts_tally *tally, double value_bits, double surprise,
                         bool right)
{
    double bits = value_bits - surprise;
    tally->asked++;
    tally->right += right;
    tally->bits += bits;
    tally->squares += bits * bits;
    tally->clipped += fmax(bits, 0);
}

struct lab_facts_score lab_facts_score(const struct lab_facts_tally *tally, int64_t facts,
                                       double value_bits)
{
    double asked = (double)tally->asked, all = (double)facts, mean = tally->bits / asked;
    double left = fmax(tally->squares / asked - mean * mean, 0) * asked;
    double variance = asked > 1 ? left / (asked - 1) : NAN;
    bool whole = tally->asked == facts;
    return (struct lab_facts_score){
        .facts = facts,
        .asked = tally->asked,
        .bits = all * mean,
        .bits_error = whole ? 0 : all * sqrt(variance / asked * (1 - asked / all)),
        .bits_clipped = all * tally->clipped / asked,
        .bits_total = all * value_bits,
        .accuracy = (double)tally->right / asked,
    };
}
