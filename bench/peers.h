/* SPDX-License-Identifier: MIT */
/* The rivals of bench/peers, each started with all that makes it fast. */
#ifndef PEER_BENCH_PEERS_H
#define PEER_BENCH_PEERS_H

#include "bench/bench.h"
#include "bench/rival.h"

/* Starts bench/peers/`script` under Debian's Python, or the one that --python names, and tells it
 * the number of threads. bench/README.md has the environment. Ends the program without memory;
 * anything else is rival_error()'s to tell. */
struct rival *bench_rival(const struct bench *bench, const char *script);

#endif
