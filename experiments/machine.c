/* SPDX-License-Identifier: MIT */
#include "experiments/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int lab_machine_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static double total_memory(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

double lab_machine_memory(void)
{
    char line[128];
    double kibibytes = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lf", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return kibibytes > 0 ? kibibytes * 1024 : total_memory() / 2;
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
    snprintf(text, size, "%s, %d core%s, %.0f GiB", model, cores, cores == 1 ? "" : "s",
             total_memory() / (1024.0 * 1024 * 1024));
}
