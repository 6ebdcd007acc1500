# SPDX-License-Identifier: MIT
# How evenly experts are used: share of all retrievals that goes to the most used experts, a panel
# per budget, a curve per variant (its best run; the sparse blocks of one run share a style).
# Reads minima.csv (names) and usage_rank.csv. Parameters: README.md.
name = "utilization"
here = ARG0[1:strlen(ARG0) - strlen("utilization.gp")]
EXTRA = "every expert used alike"
load here."style.gp"
load here."sweep.gp"

rank_csv = tables."/usage_rank.csv"
stats rank_csv using 0 nooutput
N = int(STATS_records)
array RV[N]; array RB[N]; array RX[N]; array RY[N]; array TIP[N]
stats rank_csv using (I = int($0) + 1, \
    RV[I] = variant_number(strcol("variant")), RB[I] = budget_number(column("budget_flops")), \
    RX[I] = column("experts_share"), RY[I] = column("load_share"), 0) nooutput
eval read_arrays

do for [i = 1:N] {
    TIP[i] = RV[i] == 0 ? "" : sprintf("%s: the most used %.3g %% of experts get %.3g %% of all retrievals", \
        VARIANT[RV[i]], 100 * RX[i], 100 * RY[i])
}
has_ranks(v) = (sum [i = 1:N] (RV[i] == v)) > 0
KEYS = 1 + (sum [v = 1:V] has_ranks(v))
eval measure_legend

eval open_terminal
set multiplot
set xlabel "experts, most used first (%)" offset 0,0.3
set ylabel "share of all retrievals (%)" offset 1
set xrange [0:100]
set yrange [0:100]
set xtics 25
set ytics 25
array EVEN[2] = [0, 100]
# A curve starts at 0, where the line from the one before it is broken.
drawn(i) = RB[i] == P && RX[i] > 0
# Every point of few experts, or some of many.
marked(i) = drawn(i) && (i % 20 == 0 || RX[i] - RX[i - 1] > 0.035)
do for [P = 1:B] {
    eval place_panel
    eval panel_title
    plot EVEN using 2:2 with lines lw 1.2 lc rgb GREY notitle, \
        for [v = 1:V] RX using (RV[int($1)] == v && drawn(int($1)) ? 100 * $2 : NaN): \
            (100 * RY[int($1)]) with lines lw 2 dt dash(v) lc rgb colour(v) notitle, \
        RX using (marked(int($1)) ? 100 * $2 : NaN):(100 * RY[int($1)]): \
            (marker(RV[int($1)])):(colour(RV[int($1)])) \
            with points pt variable ps 0.7 lc rgb variable notitle, \
        RX using (drawn(int($1)) ? 100 * $2 : NaN):(100 * RY[int($1)]):(TIP[int($1)]) @TIPS
}

eval place_legend
plot for [v = 1:V] NaN with linespoints pt marker(v) dt dash(v) lw 2 lc rgb colour(v) \
         title has_ranks(v) ? VARIANT[v] : "", \
     NaN with lines lw 1.2 lc rgb GREY title EXTRA
unset multiplot
set output
