# SPDX-License-Identifier: MIT
# What the figures of a sweep have in common, from minima.csv: variants and budgets in order of
# appearance, and with them the legend and the grid of panels, one per budget.
#   V, VARIANT[v], variant_number(name)      B, BUDGET[b]

if (!exists("minima_csv")) minima_csv = tables."/minima.csv"
stats minima_csv using 0 nooutput
M = int(STATS_records)
array MNAME[M]; array MBUDGET[M]; array VARIANT[M]; array BUDGET[M]
stats minima_csv using (I = int($0) + 1, \
    MNAME[I] = strcol("variant"), MBUDGET[I] = column("budget_flops"), 0) nooutput
V = 0
B = 0
variant_number(name) = sum [v = 1:V] (VARIANT[v] eq name ? v : 0)
budget_number(flops) = sum [b = 1:B] (BUDGET[b] == flops ? b : 0)
do for [i = 1:M] {
    if (variant_number(MNAME[i]) == 0) { V = V + 1; VARIANT[V] = MNAME[i] }
    if (budget_number(MBUDGET[i]) == 0) { B = B + 1; BUDGET[B] = MBUDGET[i] }
}

# The last entries of the legend are the figure's own: EXTRA and SECOND, or "".
if (!exists("SECOND")) SECOND = ""
LONGEST = most(strlen(EXTRA), strlen(SECOND))
do for [v = 1:V] { LONGEST = most(LONGEST, strlen(VARIANT[v])) }
KEYS = V + (EXTRA ne "") + (SECOND ne "")
columns = least(columns, B)
W = columns == 1 ? NARROW : 440 * columns
TALL = 364
eval measure_legend
panel_title = "set title power(BUDGET[P]).' FLOPs' offset 0,-0.4"
