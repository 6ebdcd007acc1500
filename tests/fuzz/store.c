/* SPDX-License-Identifier: MIT */
/* The data base of a sweep: all that reports, exports and fits take from it. */
#include "experiments/sweeps/store.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void use(struct lab_store *store)
{
    struct lab_sweep_info info;
    struct lab_result *results = NULL;
    int64_t count = 0;
    enum lab_state state;
    fuzz_reason(lab_store_info(store, &info));
    char *config = NULL;
    fuzz_reason(lab_store_fact(&config, store, "config"));
    free(config);
    enum peer_status status = lab_store_results(store, &results, &count);
    fuzz_reason(status);
    for (int64_t i = 0; status == PEER_OK && i < count; i++) {
        FUZZ_CHECK(memchr(results[i].variant, 0, sizeof results[i].variant));
        FUZZ_CHECK(results[i].state >= 0 && results[i].state < LAB_STATE_COUNT);
        fuzz_reason(lab_store_state(store, results[i].id, &state));
    }
    if (status == PEER_OK)
        lab_results_free(&results, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_store *store = NULL;
    fuzz_remove("s/sweep.db-wal");
    fuzz_remove("s/sweep.db-shm");
    fuzz_remove("s/sweep.db-journal");
    fuzz_file("s/sweep.db", data, size);
    enum peer_status status = lab_store_open(&store, fuzz_ctx(), fuzz_path("s"), false);
    fuzz_reason(status);
    if (status == PEER_OK)
        use(store);
    lab_store_close(&store);
    fuzz_end();
    return 0;
}
