# SPDX-License-Identifier: MIT
# Loss, paired differences, usage and unevenness against the number of experts, a curve per norm of
# the queries. Reads PART.csv and runs.csv. Parameters: README.md, and part = 'fig3a' or 'table2'.
if (!exists("part")) part = "fig3a"
name = part
here = ARG0[1:strlen(ARG0) - strlen("study-experts.gp")]
load here."style.gp"

part_csv = tables."/".part.".csv"
runs_csv = tables."/runs.csv"
stats part_csv using 0 nooutput
N = int(STATS_records)
stats runs_csv using 0 nooutput
R = int(STATS_records)
array NORM[N]; array X[N]; array LOSS[N]; array DEVIATION[N]; array BASE[N]; array DIFF[N]
array LOW[N]; array HIGH[N]; array USED[N]; array UNEVEN[N]; array WHO[N]
array S[N]; array SERIES[N]
array RX[R]; array RS[R]; array RY[R]
stats part_csv using (I = int($0) + 1, WHO[I] = strcol("variant"), NORM[I] = strcol("query_norm"), \
    X[I] = column("experts"), LOSS[I] = column("loss_nats"), DEVIATION[I] = column("deviation_nats"), \
    BASE[I] = strcol("base"), DIFF[I] = column("difference_nats"), LOW[I] = column("difference_low"), \
    HIGH[I] = column("difference_high"), USED[I] = column("used"), \
    UNEVEN[I] = column("unevenness_nats"), 0) nooutput
K = 0
number(norm) = sum [s = 1:K] (SERIES[s] eq norm ? s : 0)
DENSE = 0
do for [i = 1:N] {
    if (X[i] == X[i]) {
        if (number(NORM[i]) == 0) { K = K + 1; SERIES[K] = NORM[i] }
        S[i] = number(NORM[i])
    } else {
        S[i] = 0
        DENSE = i
    }
}
stats runs_csv using (I = int($0) + 1, RX[I] = column("experts"), RY[I] = column("loss_nats"), \
    RS[I] = strcol("part") eq part ? number(strcol("query_norm")) : 0, 0) nooutput
eval read_arrays
set datafile missing NaN # a curve passes over the rows of others
tip(i, text) = S[i] == 0 ? "" : sprintf("%s, N = %.0f: ", WHO[i], X[i]).text

# What differences are from: the same variant for all, or twins.
FROM = ""
do for [i = 1:N] {
    if (BASE[i] ne "") { FROM = FROM eq "" || FROM eq BASE[i] ? BASE[i] : "twin without a norm" }
}
B = 4
columns = least(columns, B)
W = columns == 1 ? NARROW : 440 * columns
TALL = 330
EXTRA = DENSE ? WHO[DENSE] : ""
KEYS = K + (EXTRA ne "")
LONGEST = strlen(EXTRA)
label(s) = SERIES[s] eq "none" ? "queries without a norm" : SERIES[s] eq "batch" ? "query BatchNorm" : \
    SERIES[s] eq "layer" ? "query LayerNorm" : SERIES[s] eq "rms" ? "query RMSNorm" : SERIES[s]
do for [s = 1:K] { LONGEST = most(LONGEST, strlen(label(s))) }
eval measure_legend
eval open_terminal
set multiplot
unset key
LOW_X = 1e300; HIGH_X = 0
do for [i = 1:N] { if (S[i] > 0) { LOW_X = least(LOW_X, X[i]); HIGH_X = most(HIGH_X, X[i]) } }
set logscale x
set xlabel "experts N" offset 0,0.3
set xrange [LOW_X / 1.35:HIGH_X * 1.35]
set xtics ()
do for [i = 1:N] {
    if (S[i] > 0) { set xtics add (gprintf("%.0f", sqrt(X[i]))."²" X[i]) }
}
# Series side by side.
beside(i, s) = X[i] * 1.05**(s - (K + 1) / 2.0)
array DENSE_X[2] = [LOW_X / 1.35, HIGH_X * 1.35]

P = 1
eval place_panel
set title "validation loss (nats per token)" offset 0,-0.4
set format y "%.3f"
BOTTOM = 1e300
TOP = -1e300
reach(i) = K == 1 && DEVIATION[i] == DEVIATION[i] ? DEVIATION[i] : 0
do for [i = 1:N] {
    if (LOSS[i] == LOSS[i]) {
        BOTTOM = least(BOTTOM, LOSS[i] - reach(i))
        TOP = most(TOP, LOSS[i] + reach(i))
    }
}
do for [i = 1:R] {
    if (RS[i] > 0 && RY[i] == RY[i]) { BOTTOM = least(BOTTOM, RY[i]); TOP = most(TOP, RY[i]) }
}
if (DENSE && LOSS[DENSE] == LOSS[DENSE]) {
    D = LOSS[DENSE]
    if (DEVIATION[DENSE] == DEVIATION[DENSE]) {
        BOTTOM = least(BOTTOM, D - DEVIATION[DENSE])
        set object 1 rectangle from graph 0, first D - DEVIATION[DENSE] \
            to graph 1, first D + DEVIATION[DENSE] fc rgb 0xD08a8a8a fs solid noborder behind
    }
} else { D = NaN }
SPAN = TOP - BOTTOM + 1e-3
set yrange [BOTTOM - 0.05 * SPAN:TOP + 0.05 * SPAN]
# Deviations of several curves would hide one another.
plot DENSE_X using 2:(D) with lines lw 1.8 dt 2 lc rgb GREY, \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN):(LOSS[int($1)]) \
        with linespoints pt marker(s) ps 1 dt dash(s) lw 1.8 lc rgb colour(s), \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN): \
        (K > 1 ? NaN : LOSS[int($1)] - DEVIATION[int($1)]):(0):(2 * DEVIATION[int($1)]) \
        with vectors heads size screen 3.0 / W,90 lw 1.5 lc rgb colour(s), \
    for [s = 1:K] RX using (RS[int($1)] == s ? $2 * 1.05**(s - (K + 1) / 2.0) : NaN):(RY[int($1)]) \
        with points pt 6 ps 0.5 lc rgb colour(s), \
    X using (S[int($1)] > 0 ? beside(int($1), S[int($1)]) : NaN):(LOSS[int($1)]): \
        (tip(int($1), sprintf("mean %.4f nats", LOSS[int($1)]))) @TIPS
unset object

P = 2
eval place_panel
set yrange [*:*]
set title "loss minus ".FROM.", in pairs" noenhanced offset 0,-0.4
set format y "%+.3f"
plot DENSE_X using 2:(0) with lines lw 1.2 lc rgb GREY, \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN):(LOW[int($1)]):(0): \
        (HIGH[int($1)] - LOW[int($1)]) with vectors heads size screen 3.0 / W,90 lw 1.8 \
        lc rgb colour(s), \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN):(DIFF[int($1)]) \
        with points pt marker(s) ps 1.1 lc rgb colour(s), \
    X using (S[int($1)] > 0 ? beside(int($1), S[int($1)]) : NaN):(DIFF[int($1)]): \
        (tip(int($1), sprintf("%+.4f nats from %s (%+.4f to %+.4f)", DIFF[int($1)], BASE[int($1)], \
        LOW[int($1)], HIGH[int($1)]))) @TIPS

P = 3
eval place_panel
set title "experts used (%)" offset 0,-0.4
set format y "%g"
set yrange [0:104]
plot DENSE_X using 2:(0) with lines lw 1 lc rgb GREY, \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN):(100 * USED[int($1)]) \
    with linespoints pt marker(s) ps 1 dt dash(s) lw 1.8 lc rgb colour(s), \
    X using (S[int($1)] > 0 ? beside(int($1), S[int($1)]) : NaN):(100 * USED[int($1)]): \
        (tip(int($1), sprintf("%.2f %% of experts used", 100 * USED[int($1)]))) @TIPS

P = 4
eval place_panel
set title "unevenness (nats)" offset 0,-0.4
set yrange [0:*]
plot DENSE_X using 2:(0) with lines lw 1 lc rgb GREY, \
    for [s = 1:K] X using (S[int($1)] == s ? beside(int($1), s) : NaN):(UNEVEN[int($1)]) \
    with linespoints pt marker(s) ps 1 dt dash(s) lw 1.8 lc rgb colour(s), \
    X using (S[int($1)] > 0 ? beside(int($1), S[int($1)]) : NaN):(UNEVEN[int($1)]): \
        (tip(int($1), sprintf("unevenness %.3f nats", UNEVEN[int($1)]))) @TIPS

unset logscale
eval place_legend
plot for [s = 1:K] NaN with linespoints pt marker(s) dt dash(s) lw 1.8 lc rgb colour(s) \
         title label(s), \
     NaN with lines lw 1.8 dt 2 lc rgb GREY title EXTRA
unset multiplot
set output
