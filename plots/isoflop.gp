# SPDX-License-Identifier: MIT
# Loss against parameters at equal FLOPs: a panel per budget, a curve per variant, its minimum ringed,
# that of Akima's interpolation starred.
# Reads minima.csv and runs.csv. Parameters: README.md, and axis = 'active' (default) or 'total',
# minima_csv and runs_csv = other files of their form.
if (!exists("axis")) axis = "active"
name = "isoflop-".axis
here = ARG0[1:strlen(ARG0) - strlen("isoflop.gp")]
EXTRA = "minimum, 90% interval"
load here."style.gp"
if (!exists("minima_csv")) minima_csv = tables."/minima.csv"
AKIMA = 0 # minima by Akima's interpolation
stats minima_csv using (AKIMA = AKIMA + (column("akima_minimum") == 1), 0) nooutput
SECOND = AKIMA > 0 ? "minimum, Akima's interpolation" : ""
load here."sweep.gp"

# Rows of minima.csv (M*) and of runs.csv (R*); rows of the other axis get variant 0.
if (!exists("runs_csv")) runs_csv = tables."/runs.csv"
stats runs_csv using 0 nooutput
R = int(STATS_records)
array MV[M]; array MFROM[M]; array MTO[M]; array MCENTER[M]; array MC0[M]; array MC1[M]; array MC2[M]
array MX[M]; array MXLOW[M]; array MXHIGH[M]; array MY[M]; array MYLOW[M]; array MYHIGH[M]
array AX[M]; array AY[M]
array RV[R]; array RBUDGET[R]; array RX[R]; array RY[R]
stats minima_csv using (I = int($0) + 1, \
    MV[I] = strcol("axis") eq axis ? variant_number(strcol("variant")) : 0, \
    MFROM[I] = column("grid_low"), MTO[I] = column("grid_high"), MCENTER[I] = column("center"), \
    MC0[I] = column("c0"), MC1[I] = column("c1"), MC2[I] = column("c2"), \
    MX[I] = column("params"), MXLOW[I] = column("params_low"), MXHIGH[I] = column("params_high"), \
    AX[I] = column("akima_params"), AY[I] = column("akima_loss_nats"), \
    MY[I] = column("loss_nats"), MYLOW[I] = column("loss_low"), MYHIGH[I] = column("loss_high"), 0) \
    nooutput
stats runs_csv using (I = int($0) + 1, \
    RV[I] = variant_number(strcol("variant")), RBUDGET[I] = column("budget_flops"), \
    RX[I] = column("params_".axis), RY[I] = column("loss_nats"), 0) nooutput
eval read_arrays

eval open_terminal
set multiplot
set logscale x
set xlabel axis." parameters" offset 0,0.3
set ylabel "validation loss (nats per token)" offset 1
set format y "%.2f"
array STEPS[51]
along(i, step) = log10(MFROM[i]) + (step - 1) / 50.0 * log10(MTO[i] / MFROM[i])
loss(i, x) = MC0[i] + (x - MCENTER[i]) * (MC1[i] + (x - MCENTER[i]) * MC2[i])
shown(i) = MV[i] > 0 && MBUDGET[i] == BUDGET[P] && MC0[i] == MC0[i]
run(i) = RV[i] > 0 && RBUDGET[i] == BUDGET[P] && RY[i] == RY[i]
do for [P = 1:B] {
    LOW = 1e300; HIGH = 0; BOTTOM = 1e300; TOP = -1e300
    do for [i = 1:R] {
        if (run(i)) {
            LOW = least(LOW, RX[i]); HIGH = most(HIGH, RX[i])
            BOTTOM = least(BOTTOM, RY[i]); TOP = most(TOP, RY[i])
        }
    }
    if (HIGH == 0) { continue }
    SPAN = TOP - BOTTOM + 1e-3
    FLOOR = BOTTOM - 0.25 * SPAN
    do for [i = 1:M] {
        if (shown(i) && MYLOW[i] == MYLOW[i]) { BOTTOM = least(BOTTOM, most(FLOOR, MYLOW[i])) }
    }
    LOW = LOW / 1.15
    HIGH = HIGH * 1.15
    set xrange [LOW:HIGH]
    set yrange [BOTTOM - 0.06 * SPAN:TOP + 0.06 * SPAN]
    eval place_panel
    eval log_xtics
    eval panel_title
    plot for [i = 1:M] STEPS using (shown(i) ? 10**along(i, $1) : NaN):(loss(i, along(i, $1))) \
            with lines lw 1.8 dt dash(MV[i]) lc rgb colour(MV[i]) notitle, \
        RX using (run(int($1)) ? $2 : NaN):(RY[int($1)]):(marker(RV[int($1)])): \
            (colour(RV[int($1)])) with points pt variable lw 1.5 lc rgb variable notitle, \
        MX using (shown(int($1)) ? MXLOW[int($1)] : NaN):(MY[int($1)]): \
            (MXHIGH[int($1)] - MXLOW[int($1)]):(0):(colour(MV[int($1)])) \
            with vectors heads size screen 3.0 / W,90 lw 2 lc rgb variable notitle, \
        MX using (shown(int($1)) ? $2 : NaN):(MYLOW[int($1)]):(0): \
            (MYHIGH[int($1)] - MYLOW[int($1)]):(colour(MV[int($1)])) \
            with vectors heads size screen 3.0 / W,90 lw 2 lc rgb variable notitle, \
        MX using (shown(int($1)) ? $2 : NaN):(MY[int($1)]):(colour(MV[int($1)])) \
            with points pt 6 ps 1.5 lw 2 lc rgb variable notitle, \
        AX using (shown(int($1)) ? $2 : NaN):(AY[int($1)]):(colour(MV[int($1)])) \
            with points pt 3 ps 1.1 lw 1.5 lc rgb variable notitle
}

unset logscale
eval place_legend
plot for [v = 1:V] NaN with linespoints pt marker(v) dt dash(v) lw 1.8 lc rgb colour(v) \
         title VARIANT[v], \
     NaN with points pt 6 ps 1.5 lw 2 lc rgb GREY title EXTRA, \
     for [i = 1:AKIMA > 0] NaN with points pt 3 ps 1.1 lw 1.5 lc rgb GREY title SECOND
unset multiplot
set output
