# SPDX-License-Identifier: MIT
# Utilization over the course of training, of the runs of the highest budget: a panel per measure, a
# curve per run and sparse block; step 0 stands left of the axis of logarithms. Reads
# usage_timeline.csv. Parameters: README.md.
name = "usage-timeline"
here = ARG0[1:strlen(ARG0) - strlen("usage-timeline.gp")]
load here."style.gp"
csv = tables."/usage_timeline.csv"
load here."usage-series.gp"

array MEASURE[6] = ["count_used", "score_unevenness_nats", "top1_used", "head_overlap", \
                    "born_dead", "died"]
array TITLE[6] = ["Usage: experts retrieved", "Unevenness, by gate", \
                  "Top-1 usage: experts first in a head", \
                  "Experts of a token that several heads retrieve", \
                  "Born dead: never retrieved so far", "Died: retrieved before, not now"]
array UNIT[6] = ["% of experts", "nats", "% of experts", "%", "% of experts", "% of experts"]
array X[N]; array Y[6 * N]
stats csv using (I = int($0) + 1, X[I] = column("step"), 0) nooutput
do for [m = 1:6] {
    stats csv using (I = int($0) + 1, \
        Y[6 * (I - 1) + m] = (m == 2 ? 1 : 100) * column(MEASURE[m]), 0) nooutput
}
eval read_arrays
told(i) = OF[i] && Y[6 * (i - 1) + P] == Y[6 * (i - 1) + P]
tip(i) = OF[i] == 0 ? "" : sprintf("%s, step %.0f: %.3g %s", LABEL[OF[i]], X[i], Y[6 * (i - 1) + P], UNIT[P])

B = 6
W = columns == 1 ? NARROW : 440 * columns
TALL = 300
eval measure_legend
HIGH = 2
do for [i = 1:N] { if (OF[i]) { HIGH = most(HIGH, X[i]) } }
eval open_terminal
set multiplot
set logscale x
set xrange [0.45:HIGH * 1.1]
LOW = 1
eval log_xtics
set xtics add ("0" 0.5)
set xlabel "step" offset 0,0.3
place(i) = X[i] > 0 ? X[i] : 0.5
do for [P = 1:6] {
    eval place_panel
    set title TITLE[P] offset 0,-0.4
    set ylabel UNIT[P] offset 1
    TOP = 0
    ANY = (sum [i = 1:N] told(i)) > 0 # gnuplot 5.4 dies of labels without any point
    do for [i = 1:N] { if (OF[i] && Y[6 * (i - 1) + P] == Y[6 * (i - 1) + P]) { \
        TOP = most(TOP, Y[6 * (i - 1) + P]) } }
    set yrange [0:TOP > 0 ? 1.06 * TOP : 1]
    plot for [s = 1:S] X using (OF[int($1)] == s ? place(int($1)) : NaN): \
        (Y[6 * (int($1) - 1) + P]) with linespoints pt shape(s) ps 0.6 lw 1.6 dt pattern(s) \
        lc rgb hue(s) notitle, \
        for [any = 1:ANY] X using (told(int($1)) ? place(int($1)) : NaN):(Y[6 * (int($1) - 1) + P]):(tip(int($1))) @TIPS
}
unset logscale
eval place_legend
plot for [s = 1:S] NaN with linespoints pt shape(s) dt pattern(s) lw 1.6 lc rgb hue(s) \
    title LABEL[s]
unset multiplot
set output
