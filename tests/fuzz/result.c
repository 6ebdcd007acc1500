/* SPDX-License-Identifier: MIT */
/* The result of a run. What is read is written and read again: to the same text. */
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "tests/fuzz/fuzz.h"

static char *written(const struct lab_result *result)
{
    FUZZ_CHECK(lab_run_result_write(fuzz_ctx(), fuzz_folder(), result) == PEER_OK);
    char *text = lab_read_file(fuzz_ctx(), fuzz_path("result.json"));
    FUZZ_CHECK(text);
    return text;
}

static void round_trip(const struct lab_result *result)
{
    struct lab_result again;
    char *first = written(result);
    FUZZ_CHECK(lab_run_result(&again, fuzz_ctx(), fuzz_folder()) == PEER_OK);
    char *second = written(&again);
    FUZZ_CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    lab_result_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_result result;
    char *text = fuzz_text((struct fuzz_input){data, size});
    enum peer_status status = lab_run_result_parse(&result, fuzz_ctx(), "result.json", text);
    fuzz_reason(status);
    if (status == PEER_OK) {
        round_trip(&result);
        lab_result_free(&result);
    }
    free(text);
    fuzz_end();
    return 0;
}
