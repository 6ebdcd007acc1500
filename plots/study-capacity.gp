# SPDX-License-Identifier: MIT
# Bits learned of a text of facts: against all parameters, a series per type of layer; and, of layers
# with a table, against its size N, a series per number of active entries h k. Reads PART.csv.
# Parameters: README.md, and part = 'capacity'.
if (!exists("part")) part = "capacity"
name = part
here = ARG0[1:strlen(ARG0) - strlen("study-capacity.gp")]
load here."style.gp"

part_csv = tables."/".part.".csv"
stats part_csv using 0 nooutput
N = int(STATS_records)
array FFW[N]; array EXPERTS[N]; array ACTIVE[N]; array BITS[N]; array DEVIATION[N]; array X[N]
array S[N]; array SERIES[N]; array T[N]; array TABLES[N]; array ALL[N]
stats part_csv using (I = int($0) + 1, FFW[I] = strcol("ffw"), EXPERTS[I] = column("experts"), \
    ACTIVE[I] = column("heads") * column("kept"), BITS[I] = column("facts_bits"), \
    DEVIATION[I] = column("facts_bits_deviation"), X[I] = column("params_total"), \
    ALL[I] = column("facts_bits_total"), 0) nooutput
eval read_arrays
set datafile missing NaN # a curve passes over the rows of others

known(i) = BITS[i] == BITS[i]
tip(i) = sprintf("%s, %s parameters: %.0f bits learned", T[i] ? TABLES[T[i]] : FFW[i], \
    gprintf("%.3s%c", X[i]), BITS[i])
K = 0
Q = 0
TOP = 0
BOTTOM = 0 # below it where a model is surer than it is right
do for [i = 1:N] {
    T[i] = 0
    S[i] = sum [s = 1:K] (SERIES[s] eq FFW[i] ? s : 0)
    if (S[i] == 0) { K = K + 1; SERIES[K] = FFW[i]; S[i] = K }
    if (EXPERTS[i] == EXPERTS[i]) {
        LABEL = sprintf("%s, h k = %.0f", FFW[i], ACTIVE[i])
        T[i] = sum [q = 1:Q] (TABLES[q] eq LABEL ? q : 0)
        if (T[i] == 0) { Q = Q + 1; TABLES[Q] = LABEL; T[i] = Q }
    }
    if (known(i)) {
        SPREAD = DEVIATION[i] == DEVIATION[i] ? DEVIATION[i] : 0
        TOP = most(TOP, BITS[i] + SPREAD)
        BOTTOM = least(BOTTOM, BITS[i] - SPREAD)
    }
}

B = Q > 0 ? 2 : 1
columns = least(columns, B)
W = columns == 1 ? NARROW : 440 * columns
TALL = 364
STRIP = 8
H = STRIP + TALL * ((B + columns - 1) / columns)
eval open_terminal
set multiplot
set key top left Left reverse noenhanced samplen 2.5
set logscale x
ROOM = least(0.7, (22.0 * most(K, Q) + 14) / (TALL - 100)) # of the panel, for the key
set yrange [1.05 * BOTTOM:(TOP > 0 ? TOP : 1) / (1 - ROOM)]
set format x '%.0s%c'
set format y '%.1s%c'

P = 1
eval place_panel
set title "bits learned" offset 0,-0.4
set xlabel "all parameters" offset 0,0.3
plot for [s = 1:K] X using (S[int($1)] == s ? $2 : NaN):(BITS[int($1)] - DEVIATION[int($1)]): \
        (0):(2 * DEVIATION[int($1)]) with vectors heads size screen 3.0 / W,90 lw 1.5 \
        lc rgb colour(s) notitle, \
    for [s = 1:K] X using (S[int($1)] == s ? $2 : NaN):(BITS[int($1)]) \
        with points pt marker(s) ps 1.1 lc rgb colour(s) title SERIES[s], \
    X using (known(int($1)) ? $2 : NaN):(BITS[int($1)]):(tip(int($1))) @TIPS

if (Q > 0) {
    P = 2
    eval place_panel
    set xlabel "experts or memories N" offset 0,0.3
    plot for [q = 1:Q] EXPERTS using (T[int($1)] == q ? $2 : NaN): \
            (BITS[int($1)] - DEVIATION[int($1)]):(0):(2 * DEVIATION[int($1)]) \
            with vectors heads size screen 3.0 / W,90 lw 1.5 lc rgb colour(q) notitle, \
        for [q = 1:Q] EXPERTS using (T[int($1)] == q ? $2 : NaN):(BITS[int($1)]) \
            with linespoints pt marker(q) ps 1.1 dt dash(q) lw 1.8 lc rgb colour(q) title TABLES[q], \
        EXPERTS using (T[int($1)] > 0 ? $2 : NaN):(BITS[int($1)]):(tip(int($1))) @TIPS
}
unset multiplot
set output
