/* SPDX-License-Identifier: MIT */
/* A study as a YAML file: the parts of the paper that it repeats, each a grid of budgets x sizes x
 * variants, and how their learning rates are found. `peerlab reproduce example` prints one. */
#ifndef PEER_EXPERIMENTS_STUDY_STUDY_FILE_H
#define PEER_EXPERIMENTS_STUDY_STUDY_FILE_H

#include "experiments/facts/make.h"
#include "experiments/sweeps/plan_run.h"

enum {
    LAB_STUDY_SEEDS = 32,
    LAB_STUDY_PARTS = 16,
    LAB_STUDY_VARIANTS = 96,
    LAB_STUDY_SIZES = 24,
    LAB_STUDY_BUDGETS = 12,
    LAB_STUDY_NOTES = 24
};

/* A size of the grid, trained at budgets of `from` to `to` FLOPs: as budgets grow, so do the sizes
 * around the minimum. */
struct lab_study_size {
    const struct lab_yaml_node *node;
    int64_t width, blocks;
    double from, to;
};

struct lab_part {
    char name[24];
    const struct lab_yaml_node *node;
    int64_t budgets, sizes, variants;
    double budget[LAB_STUDY_BUDGETS]; /* FLOPs per run */
    struct lab_study_size size[LAB_STUDY_SIZES];
    int variant[LAB_STUDY_VARIANTS];  /* places in the study's list */
    int64_t seeds[LAB_STUDY_BUDGETS]; /* of each budget, at most; 0 = the study's */
    double lr;  /* of a text of facts: where its search begins; 0 = train.lr */
    bool facts; /* on a text of facts, made when it is first needed */
    struct lab_facts_options
        make;            /* that text; its folder is in the study's, named by its options */
    char data[LAB_PATH]; /* the study's, or that folder */
    int64_t vocab;
};

struct lab_study_variant {
    const struct lab_yaml_node *node;
    char name[48], ffw[24];
    char rate[48]; /* the tuned variant whose learning rate it takes. Default: itself where it is
                      tuned, else the first tuned one of its type */
};

/* What the study's author has to say beside a verdict or a part's results. */
struct lab_study_note {
    char on[160];   /* a part's name, or how a claim's text begins */
    char text[640]; /* plain */
};

struct lab_study {
    struct lab_yaml *yaml;
    char name[64];
    char data[LAB_PATH];
    int64_t vocab;
    double effect; /* nats; the difference that seeds should be able to show */
    char cut[512]; /* what the study leaves out, for its report; "" = nothing is said */
    int64_t notes;
    struct lab_study_note note[LAB_STUDY_NOTES];
    int64_t seeds;
    int64_t seed[LAB_STUDY_SEEDS]; /* in the order in which they are taken */
    int64_t variants, parts;
    struct lab_study_variant variant[LAB_STUDY_VARIANTS];
    struct lab_part part[LAB_STUDY_PARTS];
    struct lab_part tune; /* learning rates: its first budget at all its sizes, its others at the
                             middle one */
    int64_t scales;
    int scale[LAB_STUDY_VARIANTS]; /* variants whose tables' own rate is looked for */
};

/* `data`, where not NULL, replaces the file's; without either the file must state model.vocab, and
 * nothing can be trained. `out` is the study's folder; NULL = none. Errors: as lab_yaml_open(),
 * with file, line, field and what was expected. */
enum peer_status lab_study_read(struct lab_study **ret, struct peer_ctx *ctx, const char *path,
                                const char *data, const char *out);
/* The same of a text in memory; `path` names it in messages. */
enum peer_status lab_study_parse(struct lab_study **ret, struct peer_ctx *ctx, const char *path,
                                 const char *text, const char *data, const char *out);
void lab_study_free(struct lab_study **study);

/* The part of that name, or NULL. */
const struct lab_part *lab_study_part(const struct lab_study *study, const char *name);

/* The text of the first note on that part (by its name) or on a claim of that text; NULL = none.
 */
const char *lab_study_note_on(const struct lab_study *study, const char *part_or_claim);

/* Whether a part has runs of that size at that budget, by their places in its lists. */
bool lab_study_planned(const struct lab_part *part, int64_t size, int64_t budget);

/* How many of `seeds` seeds a part takes at a budget, by its place in the part's list. */
int64_t lab_study_seeds(const struct lab_part *part, int64_t budget, int64_t seeds);

/* The place of a variant, or -1. */
int lab_study_variant_find(const struct lab_study *study, const char *name);

/* A run of a part's grid, by its places in the part's lists of sizes and budgets. */
struct lab_point {
    int variant; /* of the study */
    int64_t size, budget;
    int64_t seed;
};

/* That run, with the file's learning rate. */
enum peer_status lab_study_run(struct lab_plan_run *ret, struct peer_ctx *ctx,
                               const struct lab_study *study, const struct lab_part *part,
                               struct lab_point point);

#endif
