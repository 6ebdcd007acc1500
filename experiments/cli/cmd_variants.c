/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "experiments/cli/command.h"
#include "experiments/runs/run_config.h"
#include "experiments/runs/run_fields.h"
#include "peer/types.h"

static const char help[] =
    "Usage: peerlab variants [NAME]\n\n"
    "Lists the FFW variants: what can stand in a block in place of the dense FFW. With a NAME,\n"
    "its options with default, meaning and range. ~ marks a default that follows the width; shown\n"
    "for 256. They go into YAML so:\n\n"
    "  model:\n    ffw: peer\n    options: {experts: 65536, heads: 8, kept: 16}\n";

static void print_options(const struct peer_ffw_type *type)
{
    _Alignas(16) unsigned char config[LAB_FFW_CONFIG_BYTES], other[LAB_FFW_CONFIG_BYTES];
    type->config_default(config, 256);
    type->config_default(other, 320);
    for (const struct peer_option *option = type->options; option->name; option++)
        lab_option_print(stdout, option, config, other);
}

static void print_variant(const struct peer_ffw_type *type)
{
    _Alignas(16) unsigned char config[LAB_FFW_CONFIG_BYTES];
    type->config_default(config, 256);
    unsigned traits = type->traits(config);
    printf("%s\n    %s\n    Source: %s\n", type->name, type->summary, type->source);
    if (traits & PEER_FFW_NOT_CAUSAL)
        puts("    NOT CAUSAL: a token's output depends on later tokens.");
    if (traits & PEER_FFW_MIXES_TOKENS_IN_TRAINING)
        puts("    By default, batch statistics mix tokens in training (not at evaluation).");
    if (traits & PEER_FFW_SHARES_CAPACITY)
        puts("    By default, the tokens of a batch share the experts' capacity.");
}

int lab_cmd_variants(int argc, char **argv)
{
    static const struct lab_option none[] = {{NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    int operands = 0, result = lab_parse(NULL, &operands, argc, argv, help, none);
    if (result != LAB_GO_ON)
        return result;
    if (operands > 1)
        return lab_usage("variants", "expected at most one name");
    const struct peer_ffw_type *one = operands ? peer_ffw_find(argv[1]) : NULL;
    if (operands && !one)
        return lab_usage("variants", "no variant \"%s\"", argv[1]);
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        if (one && one != *type)
            continue;
        print_variant(*type);
        puts("  option               default      meaning: range");
        print_options(*type);
        putchar('\n');
    }
    return LAB_DONE_OK;
}
