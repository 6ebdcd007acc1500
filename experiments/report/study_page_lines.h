/* SPDX-License-Identifier: MIT */
/* Internal. What sections of the study's page on one part have in common. */
#ifndef PEER_EXPERIMENTS_STUDY_PAGE_LINES_H
#define PEER_EXPERIMENTS_STUDY_PAGE_LINES_H

#include "experiments/report/study_page.h"

/* Heading and what is missing; false where the study has no such part or nothing of it is done. */
bool lab_study_section_start(const struct lab_study_page *page, const struct lab_finding *finding,
                             const char *id, const char *title);

/* What follows a picture and its sentences: what is missing, the command, tables in results/. */
void lab_study_section_end(const struct lab_study_page *page, const struct lab_finding *finding,
                           const char *const *tables);

/* What stands above a table of the paper's own numbers. */
void lab_study_section_paper(const struct lab_study_page *page);

/* The table of a part of one size, or of facts: a row per variant (and size). */
void lab_study_lines_table(const struct lab_study_page *page, const struct lab_finding *finding);

/* The tables of a part of several sizes: minima, and paired differences by size. */
void lab_study_minima_table(const struct lab_study_page *page, const struct lab_finding *finding);
void lab_study_effects_table(const struct lab_study_page *page, const struct lab_finding *finding);

/* "-0.0038 nats (90 % interval -0.0106 to +0.0044, 3 pairs)", or why there is no interval. */
void lab_study_say_effect(struct lab_document *document, const struct lab_effect *effect);

/* "128²", or the number where it is no square. */
void lab_study_square_text(char text[32], double N);

/* "All runs: width 96, 4 blocks, 1×10¹³ FLOPs"; nothing where there are several sizes. */
void lab_study_say_setting(const struct lab_study_page *page, const struct lab_finding *finding);

/* "The longest run passed 1.40 times over its text"; nothing where none is read again. */
void lab_study_say_epochs(const struct lab_study_page *page, const struct lab_finding *finding);

#endif
