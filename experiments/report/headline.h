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

/* A list of the reasons why curves have no minimum, with how many and which. */
void lab_headline_reasons(struct lab_document *document, const struct lab_minima *minima);

/* Of struct lab_notes on minima: "dense at 1×10¹³ FLOPs". */
void lab_curve_name(char *ret, size_t size, const void *of, int64_t i);

#endif
