# SPDX-License-Identifier: MIT
# Lorenz curves of the loads at the end of training, of the runs of the highest budget: the share of
# the mass that the least loaded experts hold, a panel by gate and one by retrieval. Reads
# usage_lorenz.csv. Parameters: README.md.
name = "lorenz"
here = ARG0[1:strlen(ARG0) - strlen("lorenz.gp")]
load here."style.gp"
csv = tables."/usage_lorenz.csv"
load here."usage-series.gp"

array X[N]; array Y[2 * N]
stats csv using (I = int($0) + 1, X[I] = column("experts_share"), \
    Y[2 * I - 1] = column("score_share"), Y[2 * I] = column("count_share"), 0) nooutput
eval read_arrays
array TITLE[2] = ["By gate", "By retrieval"]
array EVEN[2] = [0, 100]

B = 2
EXTRA = "every expert used alike"
LONGEST = most(LONGEST, strlen(EXTRA))
W = columns == 1 ? 480 : 440 * columns
TALL = 364
eval measure_legend
eval open_terminal
set multiplot
set xlabel "experts, least used first (%)" offset 0,0.3
set ylabel "share of all (%)" offset 1
set xrange [0:100]
set yrange [0:100]
set xtics 25
set ytics 25
do for [P = 1:2] {
    eval place_panel
    set title TITLE[P].WHOSE offset 0,-0.4
    # A curve starts at 0, where the line from the one before it is broken.
    plot EVEN using 2:2 with lines lw 1.2 lc rgb GREY notitle, \
        for [s = 1:S] X using (OF[int($1)] == s ? 100 * $2 : NaN):(100 * Y[2 * int($1) - 2 + P]) \
            with lines lw 2 dt pattern(s) lc rgb hue(s) notitle, \
        for [s = 1:S] X using (OF[int($1)] == s && int($1) % 20 == 5 ? 100 * $2 : NaN): \
            (100 * Y[2 * int($1) - 2 + P]) with points pt shape(s) ps 0.7 lc rgb hue(s) notitle
}
eval place_legend
plot for [s = 1:S] NaN with linespoints pt shape(s) dt pattern(s) lw 2 lc rgb hue(s) \
         title LABEL[s], \
     NaN with lines lw 1.2 lc rgb GREY title EXTRA
unset multiplot
set output
