# SPDX-License-Identifier: MIT
# How uneven the loads are at the end of training, of the runs of the highest budget: the share of the
# mass that the most loaded experts hold, a panel by gate and one by retrieval; experts on an axis of
# logarithms, since few hold nearly all. Reads usage_lorenz.csv. Parameters: README.md.
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
array EVEN[41]
most_used(x) = 100 * (1 - x)
array TIP[N]
do for [i = 1:N] {
    if (OF[i]) {
        TIP[i] = sprintf("%s: the most used %.0f %% of experts hold %.1f %% by gate, %.1f %% by retrieval", \
            LABEL[OF[i]], most_used(X[i]), most_used(Y[2 * i - 1]), most_used(Y[2 * i]))
    }
}

B = 2
EXTRA = "every expert used alike"
LONGEST = most(LONGEST, strlen(EXTRA))
W = columns == 1 ? NARROW : 440 * columns
TALL = 364
eval measure_legend
eval open_terminal
set multiplot
set xlabel "experts, most used first (%)" offset 0,0.3
set ylabel "share of all (%)" offset 1
set logscale x
set xrange [1:100]
set yrange [0:102]
set xtics (1, 2, 5, 10, 20, 50, 100)
set ytics 25
do for [P = 1:2] {
    eval place_panel
    set title TITLE[P].WHOSE offset 0,-0.4
    # The last point of a curve is at 0, which no logarithm has.
    drawn(i) = OF[i] && most_used(X[i]) > 0.5
    marked(i) = int(most_used(X[i]) + 0.5)
    plot EVEN using (10**(($1 - 1) / 20)):(10**(($1 - 1) / 20)) with lines lw 1.2 lc rgb GREY notitle, \
        for [s = 1:S] X using (OF[int($1)] == s && drawn(int($1)) ? most_used($2) : NaN): \
            (most_used(Y[2 * int($1) - 2 + P])) with lines lw 2 dt pattern(s) lc rgb hue(s) notitle, \
        for [s = 1:S] for [at in "1 2 5 10 20 50"] X using (OF[int($1)] == s && \
            marked(int($1)) == int(at) ? most_used($2) : NaN):(most_used(Y[2 * int($1) - 2 + P])) \
            with points pt shape(s) ps 0.7 lc rgb hue(s) notitle, \
        for [at in "1 2 5 10 20 50"] X using (drawn(int($1)) && marked(int($1)) == int(at) ? \
            most_used($2) : NaN):(most_used(Y[2 * int($1) - 2 + P])): \
            (TIP[int($1)]) @TIPS
}
unset logscale
eval place_legend
plot for [s = 1:S] NaN with linespoints pt shape(s) dt pattern(s) lw 2 lc rgb hue(s) \
         title LABEL[s], \
     NaN with lines lw 1.2 lc rgb GREY title EXTRA
unset multiplot
set output
