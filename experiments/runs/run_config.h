/* SPDX-License-Identifier: MIT */
/* One run as a YAML file: the data, the model, how it is trained. `peerlab train` reads it, a sweep
 * writes one for every run, and every run folder keeps its own, so that any run can be repeated by
 * hand. The fields are those of the tables in lm/options.h and of the FFW types. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_CONFIG_H
#define PEER_EXPERIMENTS_RUNS_RUN_CONFIG_H

#include <stdio.h>

#include "experiments/yaml/yaml_file.h"
#include "lm/dataset.h"
#include "lm/model.h"
#include "lm/train.h"

/* A path, and of it the most that a folder given by the user may take, so that names fit behind. */
enum { LAB_FFW_CONFIG_BYTES = 256, LAB_PATH = 1024, LAB_FOLDER = LAB_PATH - 64 };

struct lab_run_config {
    char data[LAB_PATH]; /* prepared folder, or files of tokens (lm/dataset.h), as opened from here
                          */
    struct lm_data_config text; /* what kind of files they are, where nothing there says so */
    char init[LAB_PATH]; /* checkpoint or run folder whose weights it starts from; "" = drawn */
    char data_name[LAB_PATH], init_name[LAB_PATH]; /* as a file called them; "" = as above */
    char init_crc32[16];    /* of that checkpoint's tensors, to be sure of it; "" = any */
    char variant[48];       /* what the run is called in tables. Default: the FFW type's name */
    double budget;          /* FLOPs that a sweep planned; 0 = none */
    uint64_t settings;      /* of a sweep's run: which belong together; 0 = not known; in no file */
    struct lm_config model; /* model.vocab is 0 unless the file says; the data decides */
    bool middle;            /* no list of sparse blocks was given: the middle block takes it */
    struct lm_train_config train;
    /* Storage of model.ffw_config. */
    _Alignas(16) unsigned char ffw_config[LAB_FFW_CONFIG_BYTES];
};

/* Defaults for width D and L blocks of an FFW type. model.ffw_config points into *ret: copy with
 * lab_run_config_copy(). */
void lab_run_config_default(struct lab_run_config *ret, int64_t width, int64_t blocks,
                            const struct peer_ffw_type *ffw);
void lab_run_config_copy(struct lab_run_config *ret, const struct lab_run_config *config);

/* Defaults for a run of that model. */
void lab_run_config_of_model(struct lab_run_config *ret, const struct lm_config *model);

/* Reads a whole run file. `path` is only opened here. Errors: as lab_yaml_open() and with file,
 * line and field. Sizes that do not fit together are found by lm_config_check(). */
enum peer_status lab_run_config_read(struct lab_run_config *ret, struct peer_ctx *ctx,
                                     const char *path);

/* Parts of it, for sweeps, in the order in which they are to be read: the defaults for the width
 * and blocks of `size` and the ffw of `variant`; the model mapping's other fields; a variant's
 * {options, sparse_at}; {init, init_crc32, freeze}; {dtype}; training. NULL mappings change
 * nothing. */
enum peer_status lab_run_config_read_size(struct lab_run_config *ret, struct peer_ctx *ctx,
                                          const struct lab_yaml_node *size,
                                          const struct lab_yaml_node *variant);
enum peer_status lab_run_config_read_model(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *model);
enum peer_status lab_run_config_read_ffw_options(struct lab_run_config *config,
                                                 struct peer_ctx *ctx,
                                                 const struct lab_yaml_node *variant);
enum peer_status lab_run_config_read_start(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *mapping);
enum peer_status lab_run_config_read_data(struct lab_run_config *config, struct peer_ctx *ctx,
                                          const struct lab_yaml_node *mapping);
enum peer_status lab_run_config_read_train(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *train);

/* Writes the file that lab_run_config_read() reads back to the same values, with paths as they were
 * called, by which a store knows a run. Returns false when the stream reports an error. */
bool lab_run_config_write(FILE *file, const struct lab_run_config *config);

/* The same as text, NUL-terminated and malloc()ed, or NULL without memory. `lengthy`: with the
 * digits of numbers that older programs wrote, 0.00499999989 for 0.005: by this text a store knows
 * a run. */
char *lab_run_config_text(const struct lab_run_config *config, bool lengthy);

/* The same with absolute paths, and beside them, as data_called and init_called, how they were
 * called: read back, the run is the one that a store knows. Errors of
 * writing stay in the stream; others: those of lab_run_config_everywhere(). */
enum peer_status lab_run_config_write_everywhere(FILE *file, struct peer_ctx *ctx,
                                                 const struct lab_run_config *config);

/* Makes paths absolute, so that what is written can be read from everywhere. Errors: PEER_ERR_IO,
 * where the disk does not say what a path leads to. */
enum peer_status lab_run_config_everywhere(struct lab_run_config *config, struct peer_ctx *ctx);

#endif
