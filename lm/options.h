/* SPDX-License-Identifier: MIT */
/* The fields of models and training runs, as tables: configuration files, help texts, checkpoints
 * and run records are read and written by them. */
#ifndef PEER_LM_OPTIONS_H
#define PEER_LM_OPTIONS_H

#include "nn/option.h"

/* Of struct lm_config: vocab, width, blocks, heads, context. The dense blocks have
 * peer_ffw_dense.options, the sparse ones their own type's. */
extern const struct peer_option lm_config_options[];

/* Of struct lm_config, but a matter of one training run: freeze. */
extern const struct peer_option lm_freeze_options[];

/* Likewise: tables. */
extern const struct peer_option lm_tables_options[];

/* Of struct lm_data_config: dtype. */
extern const struct peer_option lm_data_options[];

/* Of struct lm_train_config, its optimizer included. */
extern const struct peer_option lm_train_options[];

#endif
