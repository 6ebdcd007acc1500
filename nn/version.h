/* SPDX-License-Identifier: MIT */
/* The library's version: major.minor.patch. Until 1.0 a minor version may change calls. */
#ifndef PEER_NN_VERSION_H
#define PEER_NN_VERSION_H

#include "nn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the headers that a program is compiled with. */
#define PEER_VERSION_MAJOR 0
#define PEER_VERSION_MINOR 1
#define PEER_VERSION_PATCH 0
#define PEER_VERSION "0.1.0"

/* 10000 major + 100 minor + patch, to compare with. */
#define PEER_VERSION_NUMBER                                                                        \
    (10000 * PEER_VERSION_MAJOR + 100 * PEER_VERSION_MINOR + PEER_VERSION_PATCH)

/* PEER_VERSION of the library that the program runs with. */
PEER_API const char *peer_version(void);

#ifdef __cplusplus
}
#endif

#endif
