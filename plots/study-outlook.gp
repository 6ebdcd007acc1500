# SPDX-License-Identifier: MIT
# What ten times the FLOPs would change: differences of losses on the line through the budgets of a
# study, at the largest budget and at ten times it, with 90 % intervals. Reads outlook.csv.
# Parameters: README.md.
name = "study-outlook"
here = ARG0[1:strlen(ARG0) - strlen("study-outlook.gp")]
load here."style.gp"

csv = tables."/outlook.csv"
stats csv using 0 nooutput
N = int(STATS_records)
array TEXT[N]; array FLOPS[N]; array PLACE[N]
array MEAN[2 * N]; array FROM[2 * N]; array TO[2 * N]
stats csv using (I = int($0) + 1, TEXT[I] = strcol("quantity"), FLOPS[I] = column("budget_flops"), \
    MEAN[2 * I - 1] = column("there"), FROM[2 * I - 1] = column("there_low"), \
    TO[2 * I - 1] = column("there_high"), MEAN[2 * I] = column("ahead"), \
    FROM[2 * I] = column("ahead_low"), TO[2 * I] = column("ahead_high"), 0) nooutput
eval read_arrays

# Differences alone: use of experts has other units.
R = 0
WIDEST = 0; LOW = 0.0; HIGH = 0.0; LARGEST = 0
do for [i = 1:N] {
    PLACE[i] = strstrt(TEXT[i], " minus ") > 0 && MEAN[2 * i] == MEAN[2 * i]
    if (PLACE[i]) {
        R = R + 1
        PLACE[i] = R
        WIDEST = most(WIDEST, strlen(TEXT[i]))
        LARGEST = most(LARGEST, FLOPS[i])
        do for [j = 2 * i - 1:2 * i] {
            LOW = least(LOW, FROM[j] == FROM[j] ? FROM[j] : MEAN[j])
            HIGH = most(HIGH, TO[j] == TO[j] ? TO[j] : MEAN[j])
        }
    }
}

columns = 1
B = 1
KEYS = 2
LONGEST = 32
TALL = HEAD + 40 * R + 66
LABELS = WIDEST * 8.2 + 24
W = most(620, LABELS + 420)
eval measure_legend
eval open_terminal
set multiplot
SPAN = most(HIGH - LOW, 0.01)
set xrange [LOW - 0.06 * SPAN:HIGH + 0.06 * SPAN]
set yrange [0:R]
set border 1
unset ytics
set xlabel "difference of losses, nats" offset 0,0.3
P = 1
eval place_panel
set lmargin at screen LABELS / W
do for [i = 1:N] {
    if (PLACE[i]) { \
        set label i TEXT[i] at graph 0, first R - PLACE[i] + 0.5 right offset -1,0 noenhanced }
}
set arrow 1 from 0, graph 0 to 0, graph 1 nohead lw 1 lc rgb GREY
of(j) = int((j + 1) / 2)
kind(j) = 1 + (j % 2 == 0)
y(j) = R - PLACE[of(j)] + (kind(j) == 1 ? 0.64 : 0.36)
plot for [k = 1:2] FROM using (PLACE[of(int($1))] && kind(int($1)) == k ? $2 : NaN):(y(int($1))): \
        (TO[int($1)] - FROM[int($1)]):(0) \
        with vectors heads size screen 4.0 / W,90 lw 2 dt k lc rgb colour(k) notitle, \
    for [k = 1:2] MEAN using (PLACE[of(int($1))] && kind(int($1)) == k ? $2 : NaN):(y(int($1))) \
        with points pt marker(k) ps 1 lc rgb colour(k) notitle, \
    MEAN using (PLACE[of(int($1))] ? $2 : NaN):(y(int($1))):(sprintf("%s: %+.4f nats (%+.4f to %+.4f)", \
        TEXT[of(int($1))], $2, FROM[int($1)], TO[int($1)])) @TIPS
unset label
unset arrow
eval place_legend
plot NaN with points pt marker(1) ps 1 lc rgb colour(1) title sprintf("at %.0e FLOPs", LARGEST), \
    NaN with points pt marker(2) ps 1 lc rgb colour(2) title "at ten times that, if it goes on"
unset multiplot
set output
