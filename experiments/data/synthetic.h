/* SPDX-License-Identifier: MIT */
/* Made-up text with structure that a language model can learn, where no other text is to be had. */
#ifndef PEER_EXPERIMENTS_DATA_SYNTHETIC_H
#define PEER_EXPERIMENTS_DATA_SYNTHETIC_H

#include "experiments/data/data_child.h"

struct lab_synthetic_options {
    const char *out; /* folder to make: synthetic.jsonl, and SOURCES */
    int64_t bytes;   /* of text, at least; the last story is finished. >= 1 */
    uint64_t seed;
    bool force; /* replace a folder that this made before */
};

struct lab_synthetic_report {
    int64_t documents, bytes;
    double bits; /* -log2 of the probability of all choices made: no code needs more on average */
};

/* Stories of a few paragraphs. Each draws a place and a few people with a trade, a town, a thing
 * they own and a colour it has, which all later sentences of the story respect; nouns and verbs
 * follow Zipf's law with exponent 1, verbs agree in number, and sums come out right. Equal options
 * give equal bytes. Errors: PEER_ERR_IO, PEER_ERR_ARGUMENT, PEER_ERR_STOPPED. */
enum peer_status lab_synthetic_make(struct lab_synthetic_report *ret, struct peer_ctx *ctx,
                                    const struct lab_synthetic_options *options,
                                    const struct lab_work *work);

#endif
