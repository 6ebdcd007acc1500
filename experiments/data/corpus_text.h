/* SPDX-License-Identifier: MIT */
/* Folders of text that this program makes: NAME.jsonl, one document a line, and SOURCES, which says
 * where each comes from. */
#ifndef PEER_EXPERIMENTS_DATA_CORPUS_TEXT_H
#define PEER_EXPERIMENTS_DATA_CORPUS_TEXT_H

#include <stdio.h>

#include "experiments/data/data_folder.h"

#define LAB_SOURCES "SOURCES"

struct lab_text_file {
    struct peer_ctx *ctx;
    char path[LAB_PATH];
    FILE *file;
    int64_t documents, bytes; /* of text */
    uint32_t crc;             /* CRC-32 of the documents' text, each followed by a line feed */
};

/* NAME.jsonl in the folder. Errors of all: PEER_ERR_IO, naming the file. */
enum peer_status lab_text_file_create(struct lab_text_file *ret, const struct lab_folder *folder,
                                      const char *name);

/* One document, UTF-8; an empty one is left out. */
enum peer_status lab_text_file_add(struct lab_text_file *file, const char *text, int64_t bytes);
enum peer_status lab_text_file_finish(struct lab_text_file *file);
void lab_text_file_abandon(struct lab_text_file *file);

/* Adds to the folder's SOURCES. */
enum peer_status lab_sources_add(const struct lab_folder *folder, const char *format, ...)
    PEER_PRINTF(2, 3);

#endif
