/* SPDX-License-Identifier: MIT */
#include "experiments/cli/restart.h"

#include <cblas.h>
#include <errno.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "nn/blas.h"

/* What the restarted program is told: the core that OpenBLAS took by itself, and the one that this
 * program asked for, which stands in OPENBLAS_CORETYPE too. */
static const char told[] = "PEERLAB_CORETYPE", coretype[] = "OPENBLAS_CORETYPE";
enum { CORE = 32 };

struct choice {
    char found[CORE], asked[CORE]; /* "" where this program asked for nothing yet */
};

static struct choice read_choice(void)
{
    struct choice choice = {"", ""};
    const char *text = getenv(told), *set = getenv(coretype);
    if (!text || sscanf(text, "%31s %31s", choice.found, choice.asked) != 2 || !set ||
        strcmp(set, choice.asked) != 0)
        choice = (struct choice){"", ""};
    return choice;
}

/* What the user set, or NULL. */
static const char *users_core(void)
{
    const char *set = getenv(coretype);
    return set && *set && !*read_choice().asked ? set : NULL;
}

/* The highest level that kernels may have here. */
static enum peer_cpu wanted_level(void)
{
    enum peer_cpu level = peer_cpu_detect();
    const char *text = getenv("PEER_CPU");
    int most = text && *text ? peer_cpu_from_name(text) : -1;
    return most >= 0 && most < (int)level ? (enum peer_cpu)most : level;
}

/* The core to ask for after `last` ("": none yet), or NULL: first what suits this CPU best, then
 * what an older OpenBLAS knows. */
static const char *next_core(const char *last)
{
    static const char *const cores[] = {"Cooperlake", "SkylakeX", "Haswell"};
    enum { COUNT = sizeof cores / sizeof *cores };
    enum peer_cpu level = wanted_level();
    int first = COUNT;
#ifdef PEER_X86
    if (level == PEER_CPU_AVX512)
        first = __builtin_cpu_supports("avx512bf16") ? 0 : 1;
    else if (level == PEER_CPU_AVX2)
        first = 2;
#endif
    for (int i = first; i < COUNT && *last; i++)
        if (strcasecmp(cores[i], last) == 0) {
            first = i + 1;
            break;
        }
    return first < COUNT && peer_blas_level(cores[first]) > peer_blas_level(openblas_get_corename())
               ? cores[first]
               : NULL;
}

/* The core to restart for, or NULL. */
static const char *core_to_ask(void)
{
    bool slow = peer_blas_level(openblas_get_corename()) < wanted_level();
    bool chooses = strstr(openblas_get_config(), "DYNAMIC_ARCH") != NULL;
    return slow && chooses && !users_core() ? next_core(read_choice().asked) : NULL;
}

static bool ask(const char *core)
{
    struct choice choice = read_choice();
    char text[2 * CORE];
    snprintf(text, sizeof text, "%s %s", *choice.asked ? choice.found : openblas_get_corename(),
             core);
    return setenv(coretype, core, 1) == 0 && setenv(told, text, 1) == 0;
}

/* Why the program could not start itself again; 0 where it need not or did. */
static int restart_error;
static bool still_spins;

bool lab_restart(char **argv)
{
    const char *core = core_to_ask();
    bool spins = !getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT");
    if (!core && !spins)
        return true;
    if ((spins && setenv("OMP_WAIT_POLICY", "passive", 1)) || (core && !ask(core)))
        return false;
    /* Without an interpreter it was ld.so that was started, which then is /proc/self/exe. */
    if (getauxval(AT_BASE))
        execv("/proc/self/exe", argv);
    restart_error = getauxval(AT_BASE) ? errno : ENOEXEC;
    still_spins = spins;
    if (core) { /* the environment says again what is so */
        unsetenv(coretype);
        unsetenv(told);
    }
    return true;
}

/* Who chose OpenBLAS's core, and what of it. */
static void print_choice(FILE *file, const struct peer_blas *blas)
{
    struct choice choice = read_choice();
    const char *users = users_core(), *missed = core_to_ask();
    if (users && strcasecmp(users, blas->core) != 0)
        fprintf(file, "OPENBLAS_CORETYPE is \"%s\", which it does not know", users);
    else if (users)
        fputs("set by OPENBLAS_CORETYPE", file);
    else if (*choice.asked)
        fprintf(file, "it took this CPU for %s; peerlab started again with OPENBLAS_CORETYPE=%s",
                choice.found, choice.asked);
    else
        fputs("its own choice", file);
    if (missed)
        fprintf(file, "; starting again failed (%s): slower; set OPENBLAS_CORETYPE=%s",
                strerror(restart_error), missed);
    else if (blas->level > peer_cpu_detect())
        fputs("; this CPU cannot run it", file);
    else if (blas->level < wanted_level())
        fprintf(file, "; below this CPU, which has %s", peer_cpu_name(peer_cpu_detect()));
    fputs("\n", file);
}

void lab_restart_print(FILE *file)
{
    static const char *const kinds[] = {"nowhere: it has none", "pthreads", "OpenMP"};
    struct peer_blas blas = peer_blas_find();
    const char *cap = getenv("PEER_CPU");
    fprintf(file, "kernels  %s", peer_cpu_name(wanted_level()));
    if (cap && *cap && peer_cpu_from_name(cap) < 0)
        fprintf(file, "; PEER_CPU is \"%s\", which is no level", cap);
    else if (wanted_level() < peer_cpu_detect())
        fprintf(file, ", capped by PEER_CPU; this CPU has %s", peer_cpu_name(peer_cpu_detect()));
    fprintf(file, "\nBLAS     %s\ncore     %s (%s): ", blas.name, blas.core,
            peer_cpu_name(blas.level));
    print_choice(file, &blas);
    fprintf(file, "products %s\n",
            peer_blas_suits(blas, wanted_level()) ? "by kernels and by BLAS"
            : blas.kind != PEER_BLAS_OPENMP
                ? "by kernels alone: this BLAS is not OpenBLAS's OpenMP build (libopenblas0-openmp)"
                : "by kernels alone: they suit this CPU better than the BLAS");
    fprintf(file, "threads  %d; BLAS has its from %s%s\n", omp_get_max_threads(), kinds[blas.kind],
            still_spins ? "; they spin while they wait: set OMP_WAIT_POLICY=passive" : "");
}
