/* SPDX-License-Identifier: MIT */
/* The results of a sweep as plain rows: what the store gives, what exports, fits, reports take. */
#ifndef PEER_EXPERIMENTS_SWEEPS_RESULTS_H
#define PEER_EXPERIMENTS_SWEEPS_RESULTS_H

#include "experiments/facts/score.h"
#include "lm/utilization.h"

enum lab_state {
    LAB_PENDING = 0, /* planned */
    LAB_RUNNING,     /* in flight, or was when the sweep was killed */
    LAB_DONE,
    LAB_DIVERGED, /* something was not finite (lm/train.h): shown, left out of fits */
    LAB_FAILED,   /* an error; `message` says which */
    LAB_STATE_COUNT
};

/* "pending", "running", "done", "diverged", "failed", NULL. */
extern const char *const lab_state_names[];

/* Utilization of one sparse block of one finished run. */
struct lab_usage {
    int64_t block;
    int64_t experts, side; /* N; n or 0 */
    struct lm_usage_report report;
    char map[192]; /* file with the usage counts as text, relative to the sweep;
                      "" = none */
};

/* What tells a run's training text from others, wherever it lies. */
struct lab_text_mark {
    int64_t tokens;
    char crc32[16];      /* of the ids; "" = not known: an older program wrote the result */
    char vocabulary[16]; /* of what they stand for; "" = not known */
};

struct lab_result {
    int64_t id;
    /* What runs are grouped by: equal where all settings but size, budget and seed are. The name,
     * and where that has several settings what differs: "peer-16k (lr 0.004)". */
    char variant[160];
    char name[48];         /* the sweep's name for it: "peer-16k" */
    char ffw[24];          /* type: "dense", "pkm", "peer" */
    double budget;         /* FLOPs asked for */
    int64_t width, blocks; /* the size */
    int64_t seed;
    enum lab_state state;
    char message[256];                   /* why it failed or diverged */
    int64_t params_total, params_active; /* trained values, embedding included, and frozen ones */
    int64_t params_frozen;               /* of params_total */
    char freeze[16];                     /* what stood still: "none", "router", ... */
    int64_t tokens;                      /* trained on */
    double flops;           /* spent: tokens * cost per token, as if nothing were frozen */
    double bytes_per_token; /* parameters read per token, forward */
    double seconds;         /* of training */
    int64_t ended;          /* when the store took it in, seconds since 1970; 0 = not finished */
    double nats, perplexity, bits_per_byte; /* validation, at the end */
    struct lab_facts_score facts; /* learned, where the text is one of facts; else all 0 */
    int64_t peak_bytes;           /* of the run's process */
    double epochs;                /* passes over the training text */
    struct lab_text_mark text;    /* of result.json alone: no store keeps it */
    int64_t skipped;              /* steps passed over, with train: {nonfinite: skip} */
    int64_t skipped_statistics;   /* passes whose running statistics were (lm/train.h) */
    unsigned traits;              /* PEER_FFW_... flags */
    int64_t vocab;                /* tokens of the vocabulary; 0 = not known */
    int64_t granularity; /* of PEER: heads x kept, the experts of a token; 0 = of another layer */
    uint64_t design; /* equal where the layers differ in heads and kept at most; 0 = not known */
    int usages;
    struct lab_usage *usage; /* [usages] */
    char curve[192];         /* file with the training curve (curve.csv of a run's folder), relative
                                to the sweep; "" = none */
};

/* What a report says about where its rows come from. */
struct lab_sweep_info {
    char name[64];
    char created[32];   /* UTC, ISO 8601 */
    char machine[128];  /* CPU model, cores, memory */
    char revision[64];  /* of the programs that trained, latest last */
    char data[128];     /* name, vocabulary, training and validation tokens */
    char command[1024]; /* that repeats it */
    const char *config; /* the sweep's YAML, as given; borrowed */
};

/* Seconds in which at least one of the runs was in training, were each in training up to its end
 * without a break. NaN: no memory. */
double lab_results_wall_seconds(const struct lab_result *results, int64_t count);

#endif
