/* SPDX-License-Identifier: MIT */
/* Which sizes get more seeds, on made-up losses. */
#include "experiments/study/part_seeds.h"

#include <criterion/criterion.h>
#include <math.h>

enum { SIZES = 5, MOST = 64 };

static const int64_t seed[] = {7, 8, 9};
static struct lab_part part = {.budgets = 1, .sizes = SIZES, .variants = 1, .variant = {4}};
static struct lab_part_row row[MOST];
static struct lab_result result[MOST];
static struct lab_part_rows rows = {.part = &part, .row = row};

static void set_up(void)
{
    for (int64_t s = 0; s < SIZES; s++)
        part.size[s].to = INFINITY;
}

TestSuite(part_seeds, .init = set_up);

/* A finished run; one that is missing where the loss is NaN. */
static void add(struct lab_point point, double nats)
{
    int64_t i = rows.count++;
    result[i] = (struct lab_result){.state = LAB_DONE, .nats = nats};
    row[i] = (struct lab_part_row){.variant = point.variant,
                                   .size = point.size,
                                   .budget = point.budget,
                                   .seed = point.seed,
                                   .result = isnan(nats) ? NULL : &result[i]};
}

static void add_sizes(const double *nats)
{
    for (int64_t s = 0; s < SIZES; s++)
        add((struct lab_point){4, s, 0, seed[0]}, nats[s]);
}

static void expect_points(const struct lab_point *point, int64_t count, const int64_t want[][2],
                          int64_t wanted)
{
    cr_assert_eq(count, wanted, "%lld points, want %lld", (long long)count, (long long)wanted);
    for (int64_t i = 0; i < count; i++) {
        cr_expect_eq(point[i].variant, 4);
        cr_expect_eq(point[i].size, want[i][0], "point %lld", (long long)i);
        cr_expect_eq(point[i].seed, want[i][1], "point %lld", (long long)i);
    }
}

Test(part_seeds, go_to_the_lowest_and_its_neighbours)
{
    static const int64_t want[][2] = {{1, 8}, {2, 8}, {3, 8}, {1, 9}, {2, 9}, {3, 9}};
    struct lab_point point[MOST];
    add_sizes((double[]){5, 4, 3, 4, 5});
    expect_points(point, lab_part_seeds(point, &rows, seed, 3), want, 6);
    cr_expect_eq(lab_part_seeds(point, &rows, seed, 1), 0);
}

Test(part_seeds, an_edge_has_one_neighbour)
{
    static const int64_t want[][2] = {{3, 8}, {4, 8}};
    struct lab_point point[MOST];
    add_sizes((double[]){5, 4, 3, 2, 1});
    expect_points(point, lab_part_seeds(point, &rows, seed, 2), want, 2);
}

/* The first seed is lowest at size 1, the mean of three at size 2: so size 3 gets seeds as well,
 * and then nothing. */
Test(part_seeds, follow_the_means)
{
    static const int64_t want[][2] = {{3, 8}, {3, 9}};
    struct lab_point point[MOST];
    add_sizes((double[]){5, 3.0, 3.1, 3.3, 5});
    for (int i = 1; i < 3; i++) {
        add((struct lab_point){4, 0, 0, seed[i]}, 5);
        add((struct lab_point){4, 1, 0, seed[i]}, 3.4);
        add((struct lab_point){4, 2, 0, seed[i]}, 3.1);
    }
    expect_points(point, lab_part_seeds(point, &rows, seed, 3), want, 2);
    for (int i = 1; i < 3; i++)
        add((struct lab_point){4, 3, 0, seed[i]}, 3.3);
    cr_expect_eq(lab_part_seeds(point, &rows, seed, 3), 0);
}

/* Runs that did not end are no reason to ask for them again. */
Test(part_seeds, nothing_known_is_the_middle)
{
    static const int64_t want[][2] = {{1, 8}, {2, 8}, {3, 8}};
    struct lab_point point[MOST];
    add_sizes((double[]){NAN, NAN, NAN, NAN, NAN});
    expect_points(point, lab_part_seeds(point, &rows, seed, 2), want, 3);
    for (int64_t s = 1; s < 4; s++)
        add((struct lab_point){4, s, 0, seed[1]}, NAN);
    cr_expect_eq(lab_part_seeds(point, &rows, seed, 2), 0);
}

/* Sizes that a budget leaves out are no neighbours. */
Test(part_seeds, only_sizes_of_the_budget)
{
    static const int64_t want[][2] = {{2, 8}, {4, 8}};
    struct lab_point point[MOST];
    part.budget[0] = 1e12;
    part.size[3].from = 2e12;
    add((struct lab_point){4, 2, 0, seed[0]}, 3);
    add((struct lab_point){4, 4, 0, seed[0]}, 2);
    expect_points(point, lab_part_seeds(point, &rows, seed, 2), want, 2);
}

/* A budget's own number of seeds is the most that it gets. */
Test(part_seeds, each_budget_has_its_number)
{
    static const int64_t want[][2] = {{1, 8}, {2, 8}, {3, 8}};
    struct lab_point point[MOST];
    part.seeds[0] = 2;
    add_sizes((double[]){5, 4, 3, 4, 5});
    expect_points(point, lab_part_seeds(point, &rows, seed, 3), want, 3);
    part.budgets = 2;
    int64_t count = lab_part_seeds(point, &rows, seed, 3);
    cr_assert_eq(count, 9, "%lld", (long long)count);
    for (int64_t i = 0; i < count; i++)
        cr_expect(point[i].budget == 1 || point[i].seed == 8, "point %lld", (long long)i);
}
