/* SPDX-License-Identifier: MIT */
/* The YAML of a sweep, and the plan that it makes. */
#include "experiments/sweeps/sweep_config.h"

#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* Prepared data called "d", beside the file and from where the process is. */
static void make_data(void)
{
    static bool made;
    uint16_t ids[64];
    for (int i = 0; i < 64; i++)
        ids[i] = (uint16_t)(i * 7 % 11);
    if (made)
        return;
    made = true;
    fuzz_file("d/train.bin", ids, sizeof ids);
    fuzz_file("d/valid.bin", ids, sizeof ids);
    FUZZ_CHECK(chdir(fuzz_folder()) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_plan plan;
    memset(&plan, 0, sizeof plan);
    make_data();
    const char *path = fuzz_file("sweep.yaml", data, size);
    enum peer_status status = lab_plan_read(&plan, fuzz_ctx(), path);
    fuzz_reason(status);
    if (status == PEER_OK) {
        FUZZ_CHECK(plan.count > 0);
        lab_plan_free(&plan);
    }
    fuzz_end();
    return 0;
}
