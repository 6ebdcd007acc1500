/* SPDX-License-Identifier: MIT */
/* Runs of lab_data_prepare() in a folder of the test's own. */
#ifndef PEER_TESTS_SUPPORT_DATA_JOB_H
#define PEER_TESTS_SUPPORT_DATA_JOB_H

#include "experiments/data/data.h"
#include "experiments/data/text_buffer.h"
#include "tests/support/tempdir.h"

/* What all tests of a file work with. */
struct data_place {
    struct tempdir dir;
    struct peer_ctx *ctx;
};

struct data_place data_place_create(void);
void data_place_remove(struct data_place *place);

/* A file of the folder. */
struct tempfile data_text(const struct data_place *place, const char *name, const char *text);

/* Options for one input, to make "out" with bytes as tokens. Points into itself. */
struct data_job {
    struct lab_data_options options;
    struct tempfile in, out;
    const char *inputs[1];
};

void data_job_make(struct data_job *job, const struct data_place *place, const char *input);

/* Asserts that it succeeds. */
struct lab_data_report data_job_run(const struct data_job *job, const struct data_place *place);

/* Expects it to fail with this status and these words, and to leave `entries` entries in the
 * test's folder. */
void data_job_refused(const struct data_job *job, const struct data_place *place,
                      enum peer_status status, const char *says, int entries);

/* The text that a split's tokens stand for, 0xff where a document ends. */
struct lab_buffer data_decode(const struct data_place *place, const char *folder, int split);

/* Documents of random words over a small alphabet, with what is awkward strewn in; 0xff ends each.
 */
struct lab_buffer data_awkward_text(const struct data_place *place, uint64_t seed, int documents);

/* Writes such documents as JSON lines. */
void data_write_documents(const struct data_place *place, const char *name,
                          const struct lab_buffer *text);

/* Expects the two splits, put together again by document, to be the text. */
void data_expect_round_trip(const struct data_place *place, const char *folder,
                            const struct lab_buffer *text);

#endif
