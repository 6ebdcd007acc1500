/* SPDX-License-Identifier: MIT */
/* The YAML of a study, and the first runs of its parts. */
#include "experiments/study/study_file.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static void plan(const struct lab_study *study, const struct lab_part *part)
{
    struct lab_plan_run run;
    struct lab_point point = {.variant = part->variant[0], .seed = study->seed[0]};
    for (point.size = 0; point.size < part->sizes; point.size++)
        if (lab_study_planned(part, point.size, 0))
            fuzz_reason(lab_study_run(&run, fuzz_ctx(), study, part, point));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_study *study = NULL;
    char *text = fuzz_text((struct fuzz_input){data, size});
    enum peer_status status =
        lab_study_parse(&study, fuzz_ctx(), "study.yaml", text, NULL, "nowhere");
    fuzz_reason(status);
    for (int64_t i = 0; status == PEER_OK && i < study->parts; i++)
        plan(study, &study->part[i]);
    lab_study_free(&study);
    free(text);
    fuzz_end();
    return 0;
}
