/* SPDX-License-Identifier: MIT */
/* What a study has found, as tables on standard output. */
#ifndef PEER_EXPERIMENTS_STUDY_FINDINGS_PRINT_H
#define PEER_EXPERIMENTS_STUDY_FINDINGS_PRINT_H

#include "experiments/study/findings.h"

void lab_findings_print(const struct lab_findings *findings);

#endif
