# SPDX-License-Identifier: MIT
# Training loss against tokens of the best run of each variant and budget, a panel per budget, and the
# validation loss where runs measured it; training is a thin line then. The first hundredth of the longest run
# is left out. Reads minima.csv (names) and training.csv. Parameters: README.md.
name = "training"
here = ARG0[1:strlen(ARG0) - strlen("training.gp")]
EXTRA = ""
load here."style.gp"
load here."sweep.gp"

training_csv = tables."/training.csv"
stats training_csv using 0 nooutput
N = int(STATS_records)
array TV[N]; array TB[N]; array TX[N]; array TY[N]; array TVALID[N]; array TIP[N]; array RANK[N]
stats training_csv using (I = int($0) + 1, \
    TV[I] = variant_number(strcol("variant")), TB[I] = budget_number(column("budget_flops")), \
    TX[I] = column("tokens"), TY[I] = column("loss_nats"), \
    TVALID[I] = column("valid_nats"), 0) nooutput
eval read_arrays
MEASURED = 0
do for [i = 1:N] {
    IS_VALID = TVALID[i] == TVALID[i]
    MEASURED = MEASURED + IS_VALID
    RANK[i] = MEASURED - 1
    TIP[i] = TV[i] == 0 ? "" : sprintf("%s, %s tokens: %s %.4f nats", VARIANT[TV[i]], \
        gprintf("%.3s%c", TX[i]), IS_VALID ? "validation" : "training", IS_VALID ? TVALID[i] : TY[i])
}
if (MEASURED > 0) {
    EXTRA = "validation; thin: training"
    KEYS = V + 1
    LONGEST = most(LONGEST, strlen(EXTRA))
    eval measure_legend
}

eval open_terminal
set multiplot
set logscale x
set xlabel "tokens" offset 0,0.3
set ylabel "loss (nats per token)" offset 1
set format y "%.1f"
drawn_as(v) = MEASURED ? 1 : dash(v)
set datafile missing NaN # a curve passes over the rows of others
drawn(i) = TB[i] == P && TX[i] > 0 && TY[i] == TY[i]
measured(i) = TB[i] == P && TX[i] >= LOW && TVALID[i] == TVALID[i]
do for [P = 1:B] {
    HIGH = 0; BOTTOM = 1e300; TOP = -1e300
    do for [i = 1:N] { if (drawn(i)) { HIGH = most(HIGH, TX[i]) } }
    if (HIGH == 0) { continue }
    LOW = HIGH / 100
    do for [i = 1:N] {
        if (drawn(i) && TX[i] >= LOW) { BOTTOM = least(BOTTOM, TY[i]); TOP = most(TOP, TY[i]) }
        if (measured(i)) { BOTTOM = least(BOTTOM, TVALID[i]); TOP = most(TOP, TVALID[i]) }
    }
    set xrange [LOW:HIGH * 1.1]
    set yrange [BOTTOM - 0.04 * (TOP - BOTTOM):TOP]
    eval place_panel
    eval log_xtics
    eval panel_title
    plot for [v = 1:V] TX using (TV[int($1)] == v && drawn(int($1)) ? $2 : NaN):(TY[int($1)]) \
            with lines lw (MEASURED ? 0.7 : 1.6) dt drawn_as(v) \
            lc rgb colour(v) + (MEASURED ? PALE : 0) notitle, \
        TX using (drawn(int($1)) && MEASURED == 0 && int($1) % 20 == 0 ? $2 : NaN):(TY[int($1)]): \
            (marker(TV[int($1)])):(colour(TV[int($1)])) \
            with points pt variable ps 0.7 lc rgb variable notitle, \
        for [v = 1:V] TX using (TV[int($1)] == v && measured(int($1)) ? $2 : NaN):(TVALID[int($1)]) \
            with lines lw 1.8 dt dash(v) lc rgb colour(v) notitle, \
        TX using (measured(int($1)) && RANK[int($1)] % 6 == 0 ? $2 : NaN):(TVALID[int($1)]): \
            (marker(TV[int($1)])):(colour(TV[int($1)])) \
            with points pt variable ps 0.9 lc rgb variable notitle, \
        TX using (drawn(int($1)) && int($1) % 5 == 0 ? $2 : NaN):(TY[int($1)]):(TIP[int($1)]) @TIPS, \
        TX using (measured(int($1)) ? $2 : NaN):(TVALID[int($1)]):(TIP[int($1)]) @TIPS
}

unset logscale
eval place_legend
plot for [v = 1:V] NaN with linespoints pt marker(v) dt dash(v) lw 1.6 lc rgb colour(v) \
    title VARIANT[v], \
    for [i = 1:MEASURED > 0] NaN with linespoints pt 7 ps 1.1 lw 1.8 lc rgb GREY title EXTRA
unset multiplot
set output
