# SPDX-License-Identifier: MIT
# A study's claims: effects with 90 % intervals about zero, a panel per unit; those without an effect are
# left out. The side that is claimed is shaded; verdicts are written beside the intervals. Reads claims.csv.
# Parameters: README.md.
name = "study-claims"
here = ARG0[1:strlen(ARG0) - strlen("study-claims.gp")]
if (!exists("columns")) columns = 2
load here."style.gp"

claims_csv = tables."/claims.csv"
stats claims_csv using 0 nooutput
N = int(STATS_records)
array TEXT[N]; array UNIT[N]; array SIDE[N]; array EFFECT[N]; array LOW[N]; array HIGH[N]
array VERDICT[N]; array UNITS[N]
stats claims_csv using (I = int($0) + 1, UNIT[I] = strcol("unit"), \
    SIDE[I] = strcol("claimed") eq "below zero" ? -1 : 1, EFFECT[I] = column("effect"), \
    LOW[I] = column("low"), HIGH[I] = column("high"), VERDICT[I] = strcol("verdict"), 0) nooutput

# strcol() ends at a comma inside quotes, labels do not.
set xrange [0:1]
set yrange [0:1]
set table $LABELS
plot claims_csv using (0):(0):1 with labels
unset table
I = 0
do for [j = 1:|$LABELS|] {
    if (word($LABELS[j], 1) eq "0") { I = I + 1; TEXT[I] = word($LABELS[j], 3) }
}
eval read_arrays

# Claims without an effect have no row, unless none has one.
K = 0
do for [i = 1:N] {
    if (EFFECT[i] == EFFECT[i]) {
        K = K + 1
        TEXT[K] = TEXT[i]; UNIT[K] = UNIT[i]; SIDE[K] = SIDE[i]; EFFECT[K] = EFFECT[i]
        LOW[K] = LOW[i]; HIGH[K] = HIGH[i]; VERDICT[K] = VERDICT[i]
    }
}
if (K > 0) { N = K }

U = 0
LONGEST = 0
do for [i = 1:N] {
    LONGEST = most(LONGEST, strlen(TEXT[i]))
    if ((sum [u = 1:U] (UNITS[u] eq UNIT[i])) == 0) { U = U + 1; UNITS[U] = UNIT[i] }
}
verdict_colour(v) = v eq "reproduced" ? 0x009E73 : v eq "contradicted" ? 0xD55E00 : GREY
verdict_marker(v) = v eq "reproduced" ? 7 : v eq "contradicted" ? 13 : 6

# Pixels: a row of a claim, an axis below its panel, what verdicts take at the right.
ROW = 46
AXIS = 62
RIGHT = 132
W = columns == 1 ? NARROW : 860
LINE = 48 # of letters
if (columns == 1 && LONGEST > LINE) { ROW = 74 }
wrapped(text) = columns > 1 || strlen(text) <= LINE ? text : \
    text[1:blank(text)]."\n".text[blank(text) + 1:*]
blank(text) = LINE - strstrt(reversed(text[1:LINE]), " ") + 1
reversed(text) = sum_of(text, strlen(text))
sum_of(text, n) = n == 0 ? "" : text[n:n].sum_of(text, n - 1)
H = N * ROW + U * AXIS
eval open_terminal
set multiplot
unset key
unset ytics
set border 1
TOP = 0
do for [u = 1:U] {
    ROWS = 0; FROM = 0.0; TO = 0.0
    do for [i = 1:N] {
        if (UNIT[i] eq UNITS[u]) {
            ROWS = ROWS + 1
            if (EFFECT[i] == EFFECT[i]) { FROM = least(FROM, EFFECT[i]); TO = most(TO, EFFECT[i]) }
            if (LOW[i] == LOW[i]) { FROM = least(FROM, LOW[i]); TO = most(TO, HIGH[i]) }
        }
    }
    SPAN = TO > FROM ? TO - FROM : 1.0
    FROM = FROM - 0.06 * SPAN
    TO = TO + 0.06 * SPAN
    set lmargin at screen 12.0 / W
    set rmargin at screen 1 - (RIGHT + 0.0) / W
    set tmargin at screen 1 - (TOP + 0.0) / H
    set bmargin at screen 1 - (TOP + ROWS * ROW + 4.0) / H
    set xrange [FROM:TO]
    set yrange [0:ROWS]
    set xlabel UNITS[u] noenhanced offset 0,0.5
    set xtics step_of(SPAN / (columns == 1 ? 5 : 9))
    unset object
    unset label
    unset arrow
    Y = ROWS
    do for [i = 1:N] {
        if (UNIT[i] eq UNITS[u]) {
            Y = Y - 1
            set object i rectangle from (SIDE[i] < 0 ? FROM : 0), Y + 0.12 \
                to (SIDE[i] < 0 ? 0 : TO), Y + 0.48 fc rgb 0xDD8a8a8a fs solid noborder behind
            set arrow i from 0, Y + 0.06 to 0, Y + 0.54 nohead lw 1 lc rgb GREY
            set label 2 * i - 1 wrapped(TEXT[i]) at graph 0, first Y + (ROW > 46 ? 0.9 : 0.76) noenhanced
            set label 2 * i VERDICT[i] at graph 1, first Y + 0.3 offset 1.2,0 \
                noenhanced tc rgb verdict_colour(VERDICT[i])
        }
    }
    place(i) = ROWS - (sum [j = 1:i] (UNIT[j] eq UNITS[u])) + 0.3
    shown(i) = i <= N && UNIT[i] eq UNITS[u] && EFFECT[i] == EFFECT[i]
    plot EFFECT using (shown(int($1)) && LOW[int($1)] == LOW[int($1)] ? LOW[int($1)] : NaN): \
            (place(int($1))):(HIGH[int($1)] - LOW[int($1)]):(0): \
            (verdict_colour(VERDICT[int($1)])) \
            with vectors heads size screen 4.0 / W,90 lw 2.2 lc rgb variable, \
        EFFECT using (shown(int($1)) ? $2 : NaN):(place(int($1))): \
            (verdict_marker(VERDICT[int($1)])):(verdict_colour(VERDICT[int($1)])) \
            with points pt variable ps 1.3 lw 2 lc rgb variable, \
        EFFECT using (shown(int($1)) ? $2 : NaN):(place(int($1))): \
            (sprintf("%s: %+.4g %s (%+.4g to %+.4g), %s", TEXT[int($1)], $2, UNIT[int($1)], \
            LOW[int($1)], HIGH[int($1)], VERDICT[int($1)])) @TIPS
    TOP = TOP + ROWS * ROW + AXIS
}
unset multiplot
set output
