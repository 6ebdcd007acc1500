/* SPDX-License-Identifier: MIT */
/* Utilization out of a run's folder: result.json, usage-0.txt, usage-0.csv, between lines "%%%%".
 * A part that is empty is no file. */
#include <jansson.h>
#include <stdio.h>

#include "experiments/runs/usage_show.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"r/result.json", "r/usage-0.txt", "r/usage-0.csv"};
enum { PARTS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct fuzz_input input = {data, size};
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    for (int i = 0; i < PARTS; i++) {
        struct fuzz_input part = fuzz_part(&input);
        if (part.size)
            fuzz_file(names[i], part.bytes, part.size);
        else
            fuzz_remove(names[i]);
    }
    for (int format = LAB_USAGE_TEXT; format <= LAB_USAGE_JSON; format++) {
        json_t *list = json_array();
        fuzz_reason(lab_usage_show(nowhere, list, fuzz_ctx(), fuzz_path("r"),
                                   (enum lab_usage_format)format, true));
        json_decref(list);
    }
    fuzz_end();
    return 0;
}
