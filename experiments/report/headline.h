/* SPDX-License-Identifier: MIT */
/* Internal. The sentence that says which variant is lowest at a budget. */
#ifndef PEER_EXPERIMENTS_REPORT_HEADLINE_H
#define PEER_EXPERIMENTS_REPORT_HEADLINE_H

#include "experiments/fits/minima.h"
#include "experiments/report/document.h"

/* "At 1×10¹³ FLOPs the lowest minimum is that of ...", inside of a block. A variant without a
 * minimum inside its sizes is named with its lowest run, and comes first where that is below every
 * minimum: then nobody knows how low it would go. */
void lab_headline(struct lab_document *document, const struct lab_minima *minima, int64_t budget);

/* What ends the sentence on variants without a minimum, all budgets: how many, and why, each. */
void lab_headline_reasons(struct lab_document *document, const struct lab_minima *minima);

#endif
