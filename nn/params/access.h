/* SPDX-License-Identifier: MIT */
/* Values of a list's entries by name, as floats: whole, or a range of rows. */
#ifndef PEER_NN_ACCESS_H
#define PEER_NN_ACCESS_H

#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads rows first ... first+n-1 of the entry called `name`, a row being all but the first size of
 * its shape, to values [n, width of a row], or writes them from there. Values of bf16 and int8 are
 * widened, and narrowed to their nearest neighbour; an int8 row gets new scales. Rows that a
 * deferred optimizer has let fall behind catch up first; new rows of a mapped table are drawn (its
 * undo log, if it has one, must be told before they are written). What an optimizer keeps for the
 * entry stays. Errors, with the numbers: PEER_ERR_ARGUMENT for a name that the list does not have,
 * rows outside of 0 ... shape[0], an entry of integers, and, in set, a table that is mapped for
 * reading; nothing is written then. */
PEER_API enum peer_status peer_param_get(float *values, const struct peer_params *list,
                                         const char *name, int64_t first, int64_t n);
PEER_API enum peer_status peer_param_set(const struct peer_params *list, const char *name,
                                         const float *values, int64_t first, int64_t n);

/* Gives initial values of the caller's own, entry by entry in the list's order, by one thread:
 * `values` holds values first ... first+n-1 of the entry, row-major, as they are, and what the
 * callback leaves in them is what the entry has afterwards (a table of bf16 rounds it). An entry
 * comes in one piece or in several. As peer_params_init() does, which may go before, it leaves out
 * int8 and mapped tables; entries of integers too. */
typedef void peer_init_function(void *user, float *values, const struct peer_param *param,
                                int64_t first, int64_t n);
PEER_API void peer_params_init_with(const struct peer_params *list, peer_init_function *callback,
                                    void *user);

#ifdef __cplusplus
}
#endif

#endif
