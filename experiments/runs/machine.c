/* SPDX-License-Identifier: MIT */
#include "experiments/runs/machine.h"

#include <cblas.h>

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first two numbers of a file of this process's control group (Linux's version 2), or false;
 * "max" is read as infinity. */
static bool read_group(const char *name, double values[2])
{
    char line[512], group[512] = "", path[2][1100];
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "0::%511[^\n]", group) == 1)
            break;
    if (file)
        fclose(file);
    snprintf(path[0], sizeof path[0], "/sys/fs/cgroup%s/%s", group, name);
    snprintf(path[1], sizeof path[1], "/sys/fs/cgroup/%s", name);
    int read = 0;
    for (int i = 0; i < 2 && !read; i++) {
        char words[2][32];
        file = fopen(path[i], "r");
        read = file ? fscanf(file, "%31s %31s", words[0], words[1]) : 0;
        for (int j = 0; j < read; j++)
            values[j] = strcmp(words[j], "max") == 0 ? INFINITY : strtod(words[j], NULL);
        if (file)
            fclose(file);
        read = read > 0 ? read : 0;
    }
    return read > 0;
}

/* Cores' worth of time that a container may use. */
static double group_cores(void)
{
    double quota[2] = {INFINITY, 100000};
    return read_group("cpu.max", quota) && quota[1] > 0 ? quota[0] / quota[1] : INFINITY;
}

int lab_machine_cores(void)
{
    cpu_set_t set;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
    double most = group_cores();
    if (most < (double)cores)
        cores = (long)ceil(most);
    return cores > 0 ? (int)cores : 1;
}

static double total_memory(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

/* The first number in a file, or `otherwise` where there is none, as in "max". */
static double number_in(const char *folder, const char *name, double otherwise)
{
    char path[1200];
    double value;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    bool read = file && fscanf(file, "%lf", &value) == 1;
    if (file)
        fclose(file);
    return read ? value : otherwise;
}

/* Where a control group's memory is told: Linux's version 2 of them, and version 1. */
static const struct {
    const char *root, *most, *used;
} groups[] = {{"/sys/fs/cgroup", "memory.max", "memory.current"},
              {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"}};

/* The least that the group `path` and those above it allow, less what each uses, if asked. */
static double least_allowed(size_t version, char *path, bool less_used)
{
    double least = INFINITY;
    for (char *end = path + strlen(path);; end = strrchr(path, '/')) {
        char folder[1100];
        if (end)
            *end = 0;
        snprintf(folder, sizeof folder, "%s%s", groups[version].root, path);
        double most = number_in(folder, groups[version].most, INFINITY);
        double used = less_used ? number_in(folder, groups[version].used, 0) : 0;
        least = fmin(least, fmax(most - used, 0));
        if (!*path || !end)
            return least;
    }
}

/* What the control groups of this process allow, or infinity. A group's path may not be seen from
 * inside a container, but those above it are. */
static double group_memory(bool less_used)
{
    char line[1024], controllers[128], path[1000];
    double least = INFINITY;
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        bool second = sscanf(line, "0::%999[^\n]", path) == 1;
        bool first = !second && sscanf(line, "%*d:%127[^:]:%999[^\n]", controllers, path) == 2 &&
                     strcmp(controllers, "memory") == 0;
        if (first || second)
            least = fmin(least, least_allowed(first, path, less_used));
    }
    if (file)
        fclose(file);
    return least;
}

/* Swap is counted: what is written once and never read again, such as moments, can lie there. */
double lab_machine_memory_total(void)
{
    char line[128];
    double swap = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "SwapTotal: %lf", &swap) == 1)
            break;
    if (file)
        fclose(file);
    return fmin(total_memory() + 1024 * swap, group_memory(false));
}

/* What Linux says can be had without swapping, or 0. */
static double available_memory(void)
{
    char line[128];
    double kibibytes = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lf", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return kibibytes * 1024;
}

double lab_machine_memory(void)
{
    double available = available_memory();
    if (available <= 0)
        available = total_memory() / 2;
    return fmin(available, group_memory(true));
}

void lab_machine_text(char *text, size_t size)
{
    char line[256], model[96] = "unknown CPU";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "model name : %95[^\n]", model) == 1)
            break;
    if (file)
        fclose(file);
    int cores = lab_machine_cores();
    snprintf(text, size, "%s, %d core%s, %.0f GiB, OpenBLAS for %s", model, cores,
             cores == 1 ? "" : "s", total_memory() / (1024.0 * 1024 * 1024),
             openblas_get_corename());
}
