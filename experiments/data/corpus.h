/* SPDX-License-Identifier: MIT */
/* English text out of Debian's packages: fetched, unpacked and cleaned, nothing installed. */
#ifndef PEER_EXPERIMENTS_DATA_CORPUS_H
#define PEER_EXPERIMENTS_DATA_CORPUS_H

#include <stdio.h>

#include "experiments/data/data_child.h"

struct lab_corpus_options {
    const char *out; /* folder to make: a file of JSON lines per package, and SOURCES */
    bool all;        /* the dictionary and the epigrams too */
    bool strict;     /* refuse texts other than those whose checksum is known */
    bool force;      /* replace a folder that this made before */
};

/* Needs apt-get, with package lists, and dpkg-deb. What it finds out about each package is written
 * to `report`, a line each. Errors: PEER_ERR_IO, with what to do, where packages cannot be had;
 * PEER_ERR_FORMAT where one has none of the text looked for; PEER_ERR_STOPPED. */
enum peer_status lab_corpus_make(struct peer_ctx *ctx, const struct lab_corpus_options *options,
                                 const struct lab_work *work, FILE *report);

#endif
