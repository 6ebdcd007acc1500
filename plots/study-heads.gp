# SPDX-License-Identifier: MIT
# Loss against heads h, a curve per number of active experts h k, its lowest mean ringed; beside it
# that loss against h k. Reads PART.csv and runs.csv. Parameters: README.md, and part = 'fig3b'.
if (!exists("part")) part = "fig3b"
name = part
here = ARG0[1:strlen(ARG0) - strlen("study-heads.gp")]
load here."style.gp"

part_csv = tables."/".part.".csv"
runs_csv = tables."/runs.csv"
stats part_csv using 0 nooutput
N = int(STATS_records)
stats runs_csv using 0 nooutput
R = int(STATS_records)
array HEADS[N]; array ACTIVE[N]; array LOSS[N]; array BEST[N]; array SERIES[N]
array RH[R]; array RA[R]; array RY[R]
stats part_csv using (I = int($0) + 1, HEADS[I] = column("heads"), \
    ACTIVE[I] = column("heads") * column("kept"), LOSS[I] = column("loss_nats"), 0) nooutput
stats runs_csv using (I = int($0) + 1, RH[I] = column("heads"), RY[I] = column("loss_nats"), \
    RA[I] = strcol("part") eq part ? column("heads") * column("kept") : NaN, 0) nooutput
eval read_arrays
set datafile missing NaN # a curve passes over the rows of others

# h k in rising order, and the best row of each.
K = 0
LAST = 0
do for [round = 1:N] {
    NEXT = 1e300
    do for [i = 1:N] { if (ACTIVE[i] > LAST && ACTIVE[i] < NEXT) { NEXT = ACTIVE[i] } }
    if (NEXT < 1e300) {
        K = K + 1
        SERIES[K] = NEXT
        LAST = NEXT
        BEST[K] = 0
        do for [i = 1:N] {
            if (ACTIVE[i] == NEXT && LOSS[i] == LOSS[i]) {
                BEST[K] = BEST[K] == 0 ? i : LOSS[i] < LOSS[BEST[K]] ? i : BEST[K]
            }
        }
    }
}
FEW = 1e300; MANY = 0; BOTTOM = 1e300; TOP = -1e300
do for [i = 1:N] {
    if (HEADS[i] == HEADS[i]) { FEW = least(FEW, HEADS[i]); MANY = most(MANY, HEADS[i]) }
    if (LOSS[i] == LOSS[i]) { BOTTOM = least(BOTTOM, LOSS[i]); TOP = most(TOP, LOSS[i]) }
}
do for [i = 1:R] {
    if (RA[i] > 0 && RY[i] == RY[i]) { BOTTOM = least(BOTTOM, RY[i]); TOP = most(TOP, RY[i]) }
}
SPAN = TOP - BOTTOM + 1e-3

B = 2
columns = least(columns, B)
W = columns == 1 ? NARROW : 440 * columns
TALL = 350
EXTRA = "lowest mean of each"
KEYS = K + 1
LONGEST = strlen(EXTRA)
eval measure_legend
eval open_terminal
set multiplot
unset key
set logscale x 2
set format y "%.3f"
set yrange [BOTTOM - 0.05 * SPAN:TOP + 0.05 * SPAN]

set title "validation loss (nats per token)" offset 0,-0.4
P = 1
eval place_panel
set xlabel "heads h" offset 0,0.3
set xrange [FEW / 1.3:MANY * 1.3]
beside(h, s) = h * 1.03**(s - (K + 1) / 2.0)
place(i) = sum [s = 1:K] (SERIES[s] == ACTIVE[i] ? s : 0)
tip(i) = sprintf("h = %.0f, h k = %.0f: mean %.4f nats", HEADS[i], ACTIVE[i], LOSS[i])
plot for [s = 1:K] HEADS using (ACTIVE[int($1)] == SERIES[s] ? beside($2, s) : NaN): \
        (LOSS[int($1)]) with linespoints pt marker(s) ps 1 dt dash(s) lw 1.8 lc rgb colour(s), \
    for [s = 1:K] RH using (RA[int($1)] == SERIES[s] ? beside($2, s) : NaN):(RY[int($1)]) \
        with points pt 6 ps 0.5 lc rgb colour(s), \
    for [s = 1:K] HEADS using (BEST[s] == $1 ? beside($2, s) : NaN):(LOSS[int($1)]) \
        with points pt 6 ps 1.8 lw 2 lc rgb colour(s), \
    HEADS using (place(int($1)) > 0 ? beside($2, place(int($1))) : NaN):(LOSS[int($1)]):(tip(int($1))) @TIPS

P = 2
eval place_panel
set xlabel "active experts h k, each at its best h" offset 0,0.3
set xrange [SERIES[1] / 1.4:SERIES[K] * 1.4]
AT_BEST(k) = BEST[int(k)] > 0 ? LOSS[BEST[int(k)]] : NaN
is_best(i) = sum [s = 1:K] (BEST[s] > 0 && HEADS[BEST[s]] == RH[i] && SERIES[s] == RA[i])
plot SERIES using ($1 <= K ? $2 : NaN):(AT_BEST($1 <= K ? $1 : 1)) \
        with lines lw 1.8 lc rgb GREY, \
    for [s = 1:K] SERIES using ($1 == s ? $2 : NaN):(AT_BEST(s)) \
        with points pt marker(s) ps 1.1 lc rgb colour(s), \
    for [s = 1:K] RA using (RA[int($1)] == SERIES[s] && is_best(int($1)) ? $2 : NaN):(RY[int($1)]) \
        with points pt 6 ps 0.5 lc rgb colour(s), \
    SERIES using ($1 <= K && BEST[$1 <= K ? int($1) : 1] > 0 ? $2 : NaN):(AT_BEST($1 <= K ? $1 : 1)): \
        (tip(BEST[$1 <= K ? int($1) : 1])) @TIPS

unset logscale
eval place_legend
plot for [s = 1:K] NaN with linespoints pt marker(s) dt dash(s) lw 1.8 lc rgb colour(s) \
         title sprintf("h k = %.0f", SERIES[s]), \
     NaN with points pt 6 ps 1.8 lw 2 lc rgb GREY title EXTRA
unset multiplot
set output
