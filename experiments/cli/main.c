/* SPDX-License-Identifier: MIT */
/* peerlab: data, training, evaluation and isoFLOP sweeps of million-expert layers. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/command.h"
#include "experiments/cli/restart.h"
#include "experiments/cli/stop.h"
#include "experiments/cli/terminal.h"
#include "revision.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"data", "prepare text: tokens for training and validation", lab_cmd_data},
    {"variants", "the FFW variants, their options, defaults and sources", lab_cmd_variants},
    {"info", "parameters, FLOPs by part, bytes and memory of a run, before it is run",
     lab_cmd_info},
    {"train", "train one model", lab_cmd_train},
    {"eval", "loss and expert utilization of a checkpoint on any text", lab_cmd_eval},
    {"utilization", "which experts are used, over a training, and between two models",
     lab_cmd_utilization},
    {"generate", "a few tokens from a checkpoint, for a look", lab_cmd_generate},
    {"upscale", "a deeper model from a checkpoint, to be trained further", lab_cmd_upscale},
    {"export", "weights for other programs: safetensors or .npy", lab_cmd_export},
    {"import", "weights of other programs: a model to be trained further", lab_cmd_import},
    {"sweep", "isoFLOP sweeps: example, plan, run, status, fits, export, report", lab_cmd_sweep},
    {"plot", "a figure of a report again, from its tables alone", lab_cmd_plot},
    {"tune", "learning rates for a study, by a search on small runs", lab_cmd_tune},
    {"reproduce", "the paper's figures and tables, with intervals", lab_cmd_reproduce},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *file)
{
    fputs("peerlab: product-key experts (PEER), memories (PKM) and dense layers at equal FLOPs\n\n"
          "Usage: peerlab COMMAND [ARGUMENTS]\n\nCommands, in the order one needs them:\n",
          file);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(file, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fputs(
        "\npeerlab COMMAND --help explains each with examples.\n\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage, 3 stopped by a signal (run the same\n"
        "command again to carry on), 4 the run diverged (train).\n"
        "PEER_CPU=ref|avx2|avx512 caps the kernels in use;\n"
        "OMP_NUM_THREADS sets the default number of threads; OMP_WAIT_POLICY=active makes\n"
        "waiting threads spin, which is faster on a machine that does nothing else.\n"
        "OPENBLAS_CORETYPE sets the CPU whose kernels OpenBLAS uses, where the choice of peerlab\n"
        "will not do: peerlab --version says what it is.\n",
        file);
}

/* A result that did not reach its reader is a failure. */
static int flushed(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno == EPIPE)
        lab_stop_broken_pipe();
    fprintf(stderr, "peerlab: standard output: %s\n", strerror(errno));
    return status == LAB_DONE_OK ? LAB_FAILURE : status;
}

int main(int argc, char **argv)
{
    if (!lab_restart(argv) || !lab_terminal_install()) {
        fputs("peerlab: no memory to begin\n", stderr);
        return LAB_FAILURE;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    if (argc >= 2) {
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
            strcmp(argv[1], "help") == 0) {
            print_help(stdout);
            return flushed(LAB_DONE_OK);
        }
        if (strcmp(argv[1], "--version") == 0) {
            printf("peerlab %s (%s)\n", PEERLAB_VERSION, PEERLAB_REVISION);
            lab_restart_print(stdout);
            return flushed(LAB_DONE_OK);
        }
        for (int i = 0; i < COMMANDS; i++)
            if (strcmp(argv[1], commands[i].name) == 0)
                return flushed(commands[i].run(argc - 1, argv + 1));
        fprintf(stderr, "peerlab: no command \"%s\"\n\n", argv[1]);
    }
    print_help(stderr);
    return LAB_USAGE;
}
