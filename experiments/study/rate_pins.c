/* SPDX-License-Identifier: MIT */
/* Rules stay as they were first fitted: a run's rate is part of what it is, so that a rule which
 * moved with every variant that a study gains would train all runs again. Kept in the store as
 * text, a line each: origin, rule of a variant, scale of a layer type. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"

#include "experiments/study/rates.h"

static const char key[] = "rates";

static struct lab_rate_rule *rule_named(struct lab_rates *rates, const struct lab_study *study,
                                        const char *name)
{
    for (int64_t i = 0; i < rates->rules; i++)
        if (strcmp(study->variant[rates->rule[i].variant].name, name) == 0)
            return &rates->rule[i];
    return NULL;
}

enum { NAME = 3 * 48 };

/* A variant's name as one word: what is no letter or digit of ASCII, '-', '_' or '.' as %20. */
static void write_name(FILE *file, const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
            strchr("-_.", *c))
            fputc(*c, file);
        else
            fprintf(file, "%%%02x", *c);
}

static void read_name(char *name)
{
    char *to = name;
    for (const char *c = name; *c; c++) {
        unsigned byte;
        bool coded = *c == '%' && isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2]) &&
                     sscanf(c + 1, "%2x", &byte) == 1;
        *to++ = coded ? (char)byte : *c;
        c += coded ? 2 : 0;
    }
    *to = 0;
}

/* Lines that say nothing of this study are passed over. */
static void take_line(struct lab_rates *rates, const struct lab_study *study, const char *line)
{
    char name[NAME];
    double a, b, c;
    if (sscanf(line, "origin %lf %lf %lf", &a, &b, &c) == 3) {
        rates->width0 = a;
        rates->budget0 = b;
        rates->budget_slope = c;
    } else if (sscanf(line, "rule %143s %lf %lf", name, &a, &b) == 3) {
        read_name(name);
        struct lab_rate_rule *rule = rule_named(rates, study, name);
        if (rule) {
            rule->base = a;
            rule->width_slope = b;
            rule->pinned = true;
        }
    } else if (c = 0, sscanf(line, "scale %23s %lf %lf %lf", name, &a, &b, &c) >= 3) {
        for (int64_t i = 0; i < rates->scale_rules; i++)
            if (strcmp(rates->scale_rule[i].ffw, name) == 0) {
                rates->scale_rule[i].base = a;
                rates->scale_rule[i].slope = b;
                rates->scale_rule[i].budget_slope = c;
            }
    }
}

/* The origin comes first: new rules are fitted about it. */
enum peer_status lab_rates_pin_origin(struct lab_rates *rates, struct lab_campaign *campaign)
{
    char *text;
    enum peer_status status = lab_store_fact(&text, campaign->sweep.store, key);
    if (text && strncmp(text, "origin", 6) == 0) {
        take_line(rates, campaign->study, text);
        rates->pinned = true;
    }
    free(text);
    return status;
}

enum peer_status lab_rates_pin(struct lab_rates *rates, struct lab_campaign *campaign)
{
    char *text;
    enum peer_status status = lab_store_fact(&text, campaign->sweep.store, key);
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        take_line(rates, campaign->study, line);
    }
    free(text);
    return status;
}

/* All rules that are there, those of variants that the study no longer has left out. */
enum peer_status lab_rates_keep(const struct lab_rates *rates, struct lab_campaign *campaign)
{
    char *text = NULL;
    struct lab_memory memory;
    if (lab_memory_open(&memory)) {
        fprintf(memory.file, "origin %.17g %.17g %.17g\n", rates->width0, rates->budget0,
                rates->budget_slope);
        for (int64_t i = 0; i < rates->rules; i++) {
            fputs("rule ", memory.file);
            write_name(memory.file, campaign->study->variant[rates->rule[i].variant].name);
            fprintf(memory.file, " %.17g %.17g\n", rates->rule[i].base, rates->rule[i].width_slope);
        }
        for (int64_t i = 0; i < rates->scale_rules; i++)
            fprintf(memory.file, "scale %s %.17g %.17g %.17g\n", rates->scale_rule[i].ffw,
                    rates->scale_rule[i].base, rates->scale_rule[i].slope,
                    rates->scale_rule[i].budget_slope);
        text = lab_memory_close(&memory, NULL);
    }
    enum peer_status status =
        text ? lab_store_set_fact(campaign->sweep.store, key, text)
             : peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the rates");
    free(text);
    return status;
}
