# SPDX-License-Identifier: MIT
# Loss against parameters at equal FLOPs. For each budget the runs, a parabola per variant with its
# minimum ringed, that of Akima's interpolation starred; and beside it the minima alone with their
# intervals, a row per variant; of a variant without one the lowest run. More than SEVERAL variants
# have a small panel each, the others' parabolas grey in it.
# Reads minima.csv and runs.csv. Parameters: README.md, and axis = 'active' (default) or 'total',
# part = that of a study, or minima_csv and runs_csv = other files of their form.
if (!exists("axis")) axis = "active"
name = "isoflop-".axis
here = ARG0[1:strlen(ARG0) - strlen("isoflop.gp")]
EXTRA = "minimum"
load here."style.gp"
ASKED = columns # whatever the number of budgets
if (!exists("part")) part = ""
if (!exists("minima_csv")) minima_csv = tables."/".(part eq "" ? "" : part."-")."minima.csv"
AKIMA = 0 # minima by Akima's interpolation
stats minima_csv using (AKIMA = AKIMA + (column("akima_minimum") == 1), 0) nooutput
SECOND = AKIMA > 0 ? "minimum, Akima's interpolation" : ""
load here."sweep.gp"

# Rows of minima.csv (M*) and of runs.csv (R*); rows of the other axis get variant 0.
if (!exists("runs_csv")) runs_csv = tables."/".(part eq "" ? "runs" : part).".csv"
stats runs_csv using 0 nooutput
R = int(STATS_records)
array MV[M]; array MFROM[M]; array MTO[M]; array MCENTER[M]; array MC0[M]; array MC1[M]; array MC2[M]
array MX[M]; array MXLOW[M]; array MXHIGH[M]; array MY[M]; array MYLOW[M]; array MYHIGH[M]
array AX[M]; array AY[M]; array LOWEST[M]; array PLACE[M]; array MTIP[M]
array RV[R]; array RBUDGET[R]; array RX[R]; array RY[R]; array RSEED[R]; array RTIP[R]
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
    RSEED[I] = column("seed"), RX[I] = column("params_".axis), RY[I] = column("loss_nats"), 0) \
    nooutput
eval read_arrays

SEVERAL = 7
SMALL = V > SEVERAL
loss(i, x) = MC0[i] + (x - MCENTER[i]) * (MC1[i] + (x - MCENTER[i]) * MC2[i])
along(i, step) = log10(MFROM[i]) + (step - 1) / 50.0 * log10(MTO[i] / MFROM[i])
here_now(i) = MV[i] > 0 && MBUDGET[i] == BUDGET[P]
shown(i) = here_now(i) && MC0[i] == MC0[i]
ringed(i) = here_now(i) && MX[i] == MX[i]
run(i) = RV[i] > 0 && RBUDGET[i] == BUDGET[P] && RY[i] == RY[i]
do for [i = 1:R] {
    RTIP[i] = RV[i] == 0 ? "" : sprintf("%s, %s %s parameters, seed %.0f: %.4f nats", \
        VARIANT[RV[i]], gprintf("%.3s%c", RX[i]), axis, RSEED[i], RY[i])
}
# The lowest run of each, for those without a minimum.
do for [i = 1:M] {
    LOWEST[i] = NaN
    AT = NaN
    do for [j = 1:R] {
        if (MV[i] > 0 && RV[j] == MV[i] && RBUDGET[j] == MBUDGET[i] && RY[j] == RY[j] && \
            !(LOWEST[i] <= RY[j])) { LOWEST[i] = RY[j]; AT = RX[j] }
    }
    INSIDE = MX[i] == MX[i]
    MTIP[i] = MV[i] == 0 ? "" : INSIDE ? sprintf("%s: minimum %.4f nats%s at %s %s parameters", \
        MNAME[i], MY[i], MYLOW[i] == MYLOW[i] ? sprintf(" (%.4f to %.4f)", MYLOW[i], MYHIGH[i]) : "", \
        gprintf("%.3s%c", MX[i]), axis) : \
        sprintf("%s: no minimum inside its sizes; lowest run %.4f nats at %s %s parameters", \
        MNAME[i], LOWEST[i], gprintf("%.3s%c", AT), axis)
}

# Pixels. Of a budget: the runs, then the minima below one another, in a row where there is room.
WIDEST = 0
do for [v = 1:V] { WIDEST = most(WIDEST, strlen(VARIANT[v])) }
NAMES = LETTER * WIDEST + 24
ROWS = 24 * V + 8
if (SMALL) {
    ACROSS = ASKED == 1 ? 2 : 4
    GRID = (V + ACROSS - 1) / ACROSS
    CELL = ASKED == 1 ? 158 : 176
    DROP = 40 # from the heading to the first panels
    BELOW = 76 # from the last panels to the minima
    W = ASKED == 1 ? NARROW : 880
    STRIP = 8
    TALL = HEAD + DROP + GRID * CELL + BELOW + ROWS + 100
    H = STRIP + TALL * B
} else {
    BESIDE = ASKED > 1
    W = BESIDE ? 880 : NARROW
    PANEL = 300
    eval measure_legend
    TALL = BESIDE ? HEAD + PANEL + 76 : HEAD + PANEL + 66 + ROWS + 96
    H = STRIP + TALL * B
}
eval open_terminal
set multiplot

# Of a small panel: texts at 5 alone.
few_xtics = "set xtics (); \
    do for [e = int(floor(log10(LOW))):int(ceil(log10(HIGH)))] { \
        do for [m in '1 2 5'] { set xtics add \
            ((m ne '5' ? '' : gprintf('%.0s%c', m * 10.0**e)) m * 10.0**e) } }"
# The runs and curves of budget P in the frame that is set; those of variant `only`, 0 = of all.
array STEPS[51]
curves = "plot for [i = 1:M] STEPS using (shown(i) && only > 0 && MV[i] != only ? \
            10**along(i, $1) : NaN):(loss(i, along(i, $1))) with lines lw 1 lc rgb FAINT notitle, \
        for [i = 1:M] STEPS using (shown(i) && (only == 0 || MV[i] == only) ? 10**along(i, $1) : NaN): \
            (loss(i, along(i, $1))) with lines lw 1.8 dt dash(MV[i]) lc rgb colour(MV[i]) notitle, \
        RX using (run(int($1)) && (only == 0 || RV[int($1)] == only) ? $2 : NaN):(RY[int($1)]): \
            (marker(RV[int($1)])):(colour(RV[int($1)])) \
            with points pt variable lw 1.5 lc rgb variable notitle, \
        AX using (here_now(int($1)) && (only == 0 || MV[int($1)] == only) ? $2 : NaN):(AY[int($1)]): \
            (colour(MV[int($1)])) with points pt 3 ps 1.1 lw 1.5 lc rgb variable notitle, \
        MX using (ringed(int($1)) && (only == 0 || MV[int($1)] == only) ? $2 : NaN):(MY[int($1)]): \
            (colour(MV[int($1)])) with points pt 6 ps 1.5 lw 2 lc rgb variable notitle, \
        RX using (run(int($1)) && (only == 0 || RV[int($1)] == only) ? $2 : NaN):(RY[int($1)]): \
            (RTIP[int($1)]) @TIPS, \
        MX using (ringed(int($1)) && (only == 0 || MV[int($1)] == only) ? $2 : NaN):(MY[int($1)]): \
            (MTIP[int($1)]) @TIPS"

# Minima of budget P, a row per variant, first at the top.
minima = "plot MY using (ringed(int($1)) && MYLOW[int($1)] == MYLOW[int($1)] ? MYLOW[int($1)] : NaN): \
            (V - MV[int($1)]):(MYHIGH[int($1)] - MYLOW[int($1)]):(0):(colour(MV[int($1)])) \
            with vectors heads size screen 3.0 / W,90 lw 2 lc rgb variable notitle, \
        MY using (ringed(int($1)) ? $2 : NaN):(V - MV[int($1)]):(marker(MV[int($1)])): \
            (colour(MV[int($1)])) with points pt variable ps 1.1 lc rgb variable notitle, \
        LOWEST using (here_now(int($1)) && !ringed(int($1)) ? $2 : NaN):(V - MV[int($1)]): \
            (colour(MV[int($1)])) with points pt 1 ps 1.1 lw 2 lc rgb variable notitle, \
        MY using (here_now(int($1)) ? (ringed(int($1)) ? $2 : LOWEST[int($1)]) : NaN): \
            (V - MV[int($1)]):(MTIP[int($1)]) @TIPS"

do for [P = 1:B] {
    LOW = 1e300; HIGH = 0; BOTTOM = 1e300; TOP = -1e300; FROM = 1e300; TO = -1e300; WITHOUT = 0
    do for [i = 1:R] {
        if (run(i)) {
            LOW = least(LOW, RX[i]); HIGH = most(HIGH, RX[i])
            BOTTOM = least(BOTTOM, RY[i]); TOP = most(TOP, RY[i])
        }
    }
    if (HIGH == 0) { continue }
    do for [i = 1:M] {
        if (ringed(i)) {
            FROM = least(FROM, MYLOW[i] == MYLOW[i] ? MYLOW[i] : MY[i])
            TO = most(TO, MYHIGH[i] == MYHIGH[i] ? MYHIGH[i] : MY[i])
        } else { if (here_now(i) && LOWEST[i] == LOWEST[i]) {
            FROM = least(FROM, LOWEST[i]); TO = most(TO, LOWEST[i]); WITHOUT = 1
        } }
    }
    SPAN = TOP - BOTTOM + 1e-3
    LOW = LOW / 1.15
    HIGH = HIGH * 1.15
    T = STRIP + (P - 1) * TALL + HEAD + (SMALL ? DROP : 0)

    set logscale x
    set format x '%.0s%c'
    set format y "%.2f"
    set xrange [LOW:HIGH]
    set yrange [BOTTOM - 0.06 * SPAN:TOP + 0.06 * SPAN]
    eval log_xtics
    set ytics autofreq
    if (SMALL) {
        do for [v = 1:V] {
            only = v
            C = (v - 1) % ACROSS; Q = (v - 1) / ACROSS
            CW = (W - 66.0) / ACROSS
            LEFT = 60 + C * CW; RIGHT = LEFT + CW - 12
            UPPER = T + Q * CELL + 30; LOWER = T + (Q + 1) * CELL - 4
            eval place_frame
            set title VARIANT[v] noenhanced offset 0,-0.7
            if (C == 0) { set format y "%.2f" } else { set format y "" }
            if (Q == GRID - 1 || v + ACROSS > V) {
                set format x '%.0s%c'
                eval log_xtics
                if (HIGH > 8 * LOW) { eval few_xtics }
            } else {
                set format x ""
                set xtics format ""
                eval blank_xtics
            }
            unset xlabel
            unset ylabel
            unset label
            if (v == 1) {
                set label 1 power(BUDGET[P])." FLOPs: ".(ASKED == 1 ? "" : "validation ")."loss (nats per token)\nagainst ".axis." parameters" \
                    at screen 0.5, screen 1 - (T - HEAD - DROP + 22.0) / H center
            }
            eval curves
        }
        unset label
        LEFT = NAMES; RIGHT = W - 20
        UPPER = T + GRID * CELL + BELOW; LOWER = UPPER + ROWS
    } else {
        only = 0
        LEFT = 74; RIGHT = BESIDE ? 500 : W - 14
        UPPER = T; LOWER = T + PANEL
        eval place_frame
        set xlabel axis." parameters" offset 0,0.3
        set ylabel "validation loss (nats per token)" offset 1
        eval panel_title
        eval curves
        LEFT = BESIDE ? 512 + NAMES : NAMES; RIGHT = W - 20
        UPPER = BESIDE ? T : LOWER + 96; LOWER = BESIDE ? T + PANEL : UPPER + ROWS
    }

    unset logscale
    unset ylabel
    eval place_frame
    set title WITHOUT ? "minima (+ lowest run)" : "minima, 90 % intervals" offset 0,-0.4
    set xlabel "loss (nats per token)" offset 0,0.3
    # An interval may be endless on one side, where the parabola is all but straight.
    FROM = most(FROM, BOTTOM - 0.3 * (TOP - BOTTOM))
    TO = least(TO, TOP + 0.3 * (TOP - BOTTOM))
    SPAN = most(TO - FROM, 0.002)
    set xrange [FROM - 0.06 * SPAN:TO + 0.06 * SPAN]
    set yrange [-0.6:V - 0.4]
    set format x (SPAN < 0.05 ? "%.3f" : "%.2f")
    set xtics autofreq step_of(SPAN / (RIGHT - LEFT > 300 ? 6 : 3))
    set ytics ()
    do for [v = 1:V] { set ytics add (VARIANT[v] V - v) }
    set ytics noenhanced
    eval minima
    set ytics enhanced
}

if (!SMALL) {
    eval place_legend
    plot for [v = 1:V] NaN with linespoints pt marker(v) dt dash(v) lw 1.8 lc rgb colour(v) \
             title VARIANT[v], \
         NaN with points pt 6 ps 1.5 lw 2 lc rgb GREY title EXTRA, \
         for [i = 1:AKIMA > 0] NaN with points pt 3 ps 1.1 lw 1.5 lc rgb GREY title SECOND
}
unset multiplot
set output
