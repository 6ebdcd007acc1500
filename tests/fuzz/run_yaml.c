/* SPDX-License-Identifier: MIT */
/* The YAML of a run. What is read is written and read again: to the same text. */
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run_config.h"
#include "tests/fuzz/fuzz.h"

static char *written(const struct lab_run_config *config, size_t *size)
{
    char *text = NULL;
    FILE *file = open_memstream(&text, size);
    FUZZ_CHECK(file && lab_run_config_write(file, config));
    fclose(file);
    return text;
}

static void round_trip(const struct lab_run_config *config)
{
    struct lab_run_config again;
    size_t sizes[2];
    char *first = written(config, &sizes[0]);
    const char *path = fuzz_file("run.yaml", first, sizes[0]);
    FUZZ_CHECK(lab_run_config_read(&again, fuzz_ctx(), path) == PEER_OK);
    char *second = written(&again, &sizes[1]);
    FUZZ_CHECK(sizes[0] == sizes[1] && !memcmp(first, second, sizes[0]));
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_run_config config;
    const char *path = fuzz_file("run.yaml", data, size);
    enum peer_status status = lab_run_config_read(&config, fuzz_ctx(), path);
    fuzz_reason(status);
    if (status == PEER_OK) {
        round_trip(&config);
        config.model.vocab = config.model.vocab ? config.model.vocab : 257;
        status = lm_config_check(fuzz_ctx(), &config.model);
        fuzz_reason(status);
        if (status == PEER_OK)
            lm_config_memory(&config.model, 64);
    }
    fuzz_end();
    return 0;
}
