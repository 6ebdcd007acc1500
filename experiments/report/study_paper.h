/* SPDX-License-Identifier: MIT */
/* Internal. The paper's own numbers (He 2024, Mixture of A Million Experts, arXiv 2407.04153), all
 * at 6e18 FLOPs on C4. */
#ifndef PEER_EXPERIMENTS_STUDY_PAPER_H
#define PEER_EXPERIMENTS_STUDY_PAPER_H

#include <stdint.h>

enum {
    LAB_PAPER_NORMS = 4,
    LAB_PAPER_METHODS = 8,
    LAB_PAPER_AT_6E18 = 4,
    LAB_PAPER_TEXTS = 5,
    LAB_PAPER_ACTIVE = 5,
    LAB_PAPER_HEADS = 3
};

/* Table 2, exact: [0] without, [1] with query BatchNorm. */
struct lab_paper_norm {
    double experts;
    double perplexity[2], used[2], unevenness[2]; /* used: % */
};

extern const struct lab_paper_norm lab_paper_norms[LAB_PAPER_NORMS];

/* Tokens of a step of training. */
#define LAB_PAPER_STEP 262144

/* Figure 3a without PEER, read off the figure. */
#define LAB_PAPER_DENSE 24.2

/* Table 1, exact: perplexities of the compute-optimal models on Curation Corpus, Lambada, Pile,
 * Wikitext and C4; those of 6e18 FLOPs come first. */
struct lab_paper_method {
    const char *name;
    double budget;
    double perplexity[LAB_PAPER_TEXTS];
};

extern const struct lab_paper_method lab_paper_methods[LAB_PAPER_METHODS];

/* Figure 3b, read off its pixels, +-0.03: perplexity at three numbers of heads for each h k. */
struct lab_paper_heads {
    int64_t active;
    int64_t heads[LAB_PAPER_HEADS];
    double perplexity[LAB_PAPER_HEADS];
};

extern const struct lab_paper_heads lab_paper_heads[LAB_PAPER_ACTIVE];

#endif
