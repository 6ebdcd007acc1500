/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/design.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/yaml/yaml_file.h"
#include "nn/random.h"

/* 0 where the field is missing or no number. */
static int64_t integer(const struct lab_yaml_node *mapping, const char *key)
{
    const char *text = lab_yaml_scalar(lab_yaml_get(mapping, key));
    return text ? strtoll(text, NULL, 10) : 0;
}

/* Chains the names and values of all options but heads and kept. */
static uint64_t design_of(const char *type, const struct lab_yaml_node *options)
{
    uint64_t design = peer_stream(type);
    for (int64_t i = 0; i < lab_yaml_fields(options); i++) {
        const char *name = lab_yaml_scalar(lab_yaml_key(options, i));
        const char *value = lab_yaml_scalar(lab_yaml_get(options, name));
        char text[160];
        if (!strcmp(name, "heads") || !strcmp(name, "kept"))
            continue;
        snprintf(text, sizeof text, "%016llx %.60s=%.60s", (unsigned long long)design, name,
                 value ? value : "");
        design = peer_stream(text);
    }
    return design;
}

enum peer_status lab_design_read(struct lab_result *row, struct peer_ctx *ctx, const char *config)
{
    struct lab_yaml *yaml = NULL;
    row->vocab = row->granularity = 0;
    row->design = 0;
    enum peer_status status = config ? lab_yaml_parse(&yaml, ctx, "config", config) : PEER_OK;
    if (!yaml)
        return status == PEER_ERR_MEMORY ? status : PEER_OK;
    const struct lab_yaml_node *model = lab_yaml_get(lab_yaml_root(yaml), "model");
    const struct lab_yaml_node *options = lab_yaml_get(model, "options");
    const char *type = lab_yaml_scalar(lab_yaml_get(model, "ffw"));
    row->vocab = integer(model, "vocab");
    row->design = design_of(type ? type : "dense", options);
    if (type && !strcmp(type, "peer") &&
        __builtin_mul_overflow(integer(options, "heads"), integer(options, "kept"),
                               &row->granularity))
        row->granularity = 0;
    lab_yaml_close(&yaml);
    return PEER_OK;
}
