/* SPDX-License-Identifier: MIT */
/* What `tune` and `reproduce` have in common: which study, on which text, in which folder. */
#ifndef PEER_EXPERIMENTS_CLI_STUDY_OPTIONS_H
#define PEER_EXPERIMENTS_CLI_STUDY_OPTIONS_H

#include "experiments/cli/command.h"
#include "experiments/study/campaign.h"

enum { LAB_STUDY_WORDS = 3 * LAB_PATH + 64 };

struct lab_study_options {
    const char *scale, *file, *data, *out;
    int64_t jobs, memory; /* GiB */
    double hours;
    bool retry;
};

/* The rows of the option table that fill the struct at `offset` of the arguments. */
#define LAB_STUDY_OPTION_ROWS(type, field)                                                         \
    {"scale", LAB_OPTION_TEXT, offsetof(type, field.scale), 0, 0},                                 \
        {"study", LAB_OPTION_TEXT, offsetof(type, field.file), 0, 0},                              \
        {"data", LAB_OPTION_TEXT, offsetof(type, field.data), 0, 0},                               \
        {"out", LAB_OPTION_TEXT, offsetof(type, field.out), 0, 0},                                 \
        {"jobs", LAB_OPTION_INTEGER, offsetof(type, field.jobs), 1, 256},                          \
        {"memory", LAB_OPTION_INTEGER, offsetof(type, field.memory), 1, 1 << 20},                  \
        {"hours", LAB_OPTION_NUMBER, offsetof(type, field.hours), 0, 100000},                      \
    {                                                                                              \
        "retry", LAB_OPTION_FLAG, offsetof(type, field.retry), 0, 0                                \
    }

/* Their part of a help text. */
extern const char lab_study_options_help[];

/* Where the study's file is. Errors: PEER_ERR_ARGUMENT for a scale that is none. */
enum peer_status lab_study_options_path(char path[LAB_PATH], struct peer_ctx *ctx,
                                        const struct lab_study_options *options);

/* The study's file: that of --study, or of --scale among the installed or the source tree's. */
enum peer_status lab_study_options_read(struct lab_study **ret, struct peer_ctx *ctx,
                                        const struct lab_study_options *options);

/* The study that was last trained in --out, as its store describes it, for what only reads. What
 * --scale, --study and --data say goes before that. */
enum peer_status lab_study_options_recall(struct lab_study **ret, struct peer_ctx *ctx,
                                          const struct lab_study_options *options);

/* Opens the folder, and sets how runs are scheduled; Ctrl-C stops, and so do --hours. "peerlab
 * VERB" with the study's words is kept as what repeats it; NULL only reads. */
enum peer_status lab_study_options_open(struct lab_campaign *ret, struct peer_ctx *ctx,
                                        const struct lab_study *study,
                                        const struct lab_study_options *options, const char *verb);

/* "--scale desk --data text --out desk": as the options say, or, where they name no study, as it
 * was last trained there. Errors: those of lab_store_fact(). */
enum peer_status lab_study_options_words(char words[LAB_STUDY_WORDS],
                                         const struct lab_study_options *options,
                                         struct lab_campaign *campaign);

#endif
