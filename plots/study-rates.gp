# SPDX-License-Identifier: MIT
# The search of learning rates: loss against rate, a panel per variant and kind of rate, optima ringed;
# then the optima against width with the rule. Reads rates.csv and rates-optima.csv. Parameters: README.md.
name = "study-rates"
here = ARG0[1:strlen(ARG0) - strlen("study-rates.gp")]
load here."style.gp"

rates_csv = tables."/rates.csv"
optima_csv = tables."/rates-optima.csv"
stats rates_csv using 0 nooutput
N = int(STATS_records)
stats optima_csv using 0 nooutput
C = int(STATS_records)
array CELL[N]; array X[N]; array Y[N]
array WHO[C]; array KIND[C]; array WIDTH[C]; array BUDGET[C]; array BEST[C]; array INSIDE[C]
array RULE[C]; array PANEL[C]; array SETTING[C]; array SETTINGS[C]; array TITLE[C]; array KINDS[C]
array LOSS[C]; array OF[C]; array VARIANT[C]; array HERE[C]; array PART[C]
stats rates_csv using (I = int($0) + 1, CELL[I] = column("cell"), X[I] = column("value"), \
    Y[I] = column("loss_nats"), 0) nooutput
stats optima_csv using (I = int($0) + 1, PART[I] = strcol("part"), WHO[I] = strcol("variant"), KIND[I] = strcol("what"), \
    WIDTH[I] = column("width"), BUDGET[I] = column("budget_flops"), BEST[I] = column("optimum"), \
    INSIDE[I] = column("inside_grid"), RULE[I] = column("rule"), 0) nooutput
eval read_arrays
set datafile missing NaN # a curve passes over the rows of others

# Panels: a variant and kind of rate each. Curves: widths and budgets. The tables' own rates, relative
# to the model's, share a panel per budget.
scaled(c) = KIND[c] eq "table_lr_scale"
outside(c) = scaled(c) || PART[c] ne "" # of the last panel
B = 0
S = 0
V = 0
do for [c = 1:C] {
    # The loss at the optimum is that of the lowest probe; cells without any are not drawn.
    LOSS[c] = NaN
    do for [i = 1:N] {
        if (CELL[i] == c && Y[i] == Y[i]) { LOSS[c] = LOSS[c] == LOSS[c] ? least(LOSS[c], Y[i]) : Y[i] }
    }
    PANEL[c] = 0; SETTING[c] = 0; OF[c] = 0
    if (LOSS[c] != LOSS[c]) { continue }
    T = (PART[c] eq "" ? "" : PART[c].": ").(scaled(c) ? "tables at ".power(BUDGET[c])." FLOPs" : WHO[c])
    PANEL[c] = sum [b = 1:B] (TITLE[b] eq T ? b : 0)
    if (PANEL[c] == 0) { B = B + 1; TITLE[B] = T; PANEL[c] = B }
    T = scaled(c) ? WHO[c] : sprintf("width %.0f, ", WIDTH[c]).power(BUDGET[c])." FLOPs"
    SETTING[c] = sum [s = 1:S] (SETTINGS[s] eq T ? s : 0)
    if (SETTING[c] == 0) { S = S + 1; SETTINGS[S] = T; SETTING[c] = S }
    if (outside(c)) { continue }
    OF[c] = sum [v = 1:V] (VARIANT[v] eq WHO[c] ? v : 0)
    if (OF[c] == 0) { V = V + 1; VARIANT[V] = WHO[c]; OF[c] = V }
}
B = B + 1 # the rule
probe(i) = sprintf("%s, width %.0f, %.3g FLOPs, rate %.3g: %.4f nats", WHO[int(CELL[i])], \
    WIDTH[int(CELL[i])], BUDGET[int(CELL[i])], X[i], Y[i])

columns = least(columns, B)
W = columns == 1 ? NARROW : 440 * columns
TALL = 330
EXTRA = "optimum"
KEYS = S + 1
LONGEST = strlen(EXTRA)
do for [s = 1:S] { LONGEST = most(LONGEST, strlen(SETTINGS[s]) - 6) }
eval measure_legend
STRIP = STRIP + 12 # exponents
# The rule has a row of its own, with a legend of its own.
RULES = STRIP + TALL * ((B - 1 + columns - 1) / columns)
LAST = 300 + 22 * int(ceil(1.0 * V / (columns == 1 ? 2 : 5)))
H = RULES + LAST + HEAD
eval open_terminal
set multiplot
unset key
set logscale x
set xlabel "learning rate" offset 0,0.3
set ylabel "validation loss (nats per token)" offset 1
set format y "%.4g"
set xtics ()
do for [e = -6:6] { do for [m in "1 2 5"] { set xtics add (sprintf("%g", m * 10.0**e) m * 10.0**e) } }
do for [P = 1:B - 1] {
    BOTTOM = 1e300; TOP = -1e300; FROM = 1e300; TO = 0
    I = 0
    do for [c = 1:C] {
        if (PANEL[c] == P) {
            I = I + 1
            HERE[I] = c
            do for [i = 1:N] {
                if (CELL[i] == c && Y[i] == Y[i]) {
                    BOTTOM = least(BOTTOM, Y[i]); TOP = most(TOP, Y[i])
                    FROM = least(FROM, X[i]); TO = most(TO, X[i])
                }
            }
        }
    }
    if (TO == 0) { continue }
    SPAN = TOP - BOTTOM + 1e-3
    set xrange [FROM / 1.3:TO * 1.3]
    set yrange [BOTTOM - 0.06 * SPAN:TOP + 0.06 * SPAN]
    eval place_panel
    set title TITLE[P] offset 0,-0.4
    if (scaled(HERE[1])) { set xlabel "tables' rate, of the model's" } else { set xlabel "learning rate" }
    if (TO > 100 * FROM) { \
        set xtics (0.001, 0.01, 0.1, 1, 10, 100, 1000) } else { \
        set xtics ()
        do for [e = -6:6] { do for [m in "1 2 5"] { set xtics add (sprintf("%g", m * 10.0**e) m * 10.0**e) } }
    }
    plot for [k = 1:I] X using (CELL[int($1)] == HERE[k] ? $2 : NaN):(Y[int($1)]) \
            with linespoints pt marker(SETTING[HERE[k]]) ps 0.7 dt dash(SETTING[HERE[k]]) lw 1.6 \
            lc rgb colour(SETTING[HERE[k]]), \
        BEST using (PANEL[int($1)] == P && INSIDE[int($1)] == 1 ? $2 : NaN):(LOSS[int($1)]): \
            (colour(SETTING[int($1)])) with points pt 6 ps 1.7 lw 2 lc rgb variable, \
        X using (PANEL[int(CELL[int($1)])] == P ? $2 : NaN):(Y[int($1)]):(probe(int($1))) @TIPS
}

# Side by side what has one width, each by its variant.
LEFT = 74; RIGHT = W - 14; UPPER = RULES + HEAD; LOWER = RULES + HEAD + 220
eval place_frame
set title "optima (marks) and rule (lines)" offset 0,-0.4
set xlabel "width" offset 0,0.3
set ylabel "learning rate" offset 2
LOW = 1e300; HIGH = 0; FROM = 1e300; TO = 0
do for [c = 1:C] {
    if (!outside(c)) {
        FROM = least(FROM, WIDTH[c])
        TO = most(TO, WIDTH[c])
        do for [v in "BEST RULE"] {
            VALUE = v eq "BEST" ? BEST[c] : RULE[c]
            if (VALUE == VALUE) { LOW = least(LOW, VALUE); HIGH = most(HIGH, VALUE) }
        }
    }
}
beside(w, v) = w * (columns == 1 ? 1.03 : 1.02)**(v - (V + 1) / 2.0)
set xrange [FROM / 1.25:TO * 1.25]
set yrange [LOW / 1.2:HIGH * 1.2]
set logscale y
set format y "%g"
set ytics ()
do for [e = -6:6] { do for [m in "1 2 5"] { set ytics add (sprintf("%g", m * 10.0**e) m * 10.0**e) } }
set xtics ()
do for [c = 1:C] { if (!outside(c)) { set xtics add (sprintf("%.0f", WIDTH[c]) WIDTH[c]) } }
set key at screen 0.5, screen 10.0 / H center bottom horizontal maxcols (columns == 1 ? 2 : 5) \
    noenhanced samplen 2.5 Left reverse
FIRST_BUDGET = BUDGET[1]
plot for [v = 1:V] RULE using (OF[int($1)] == v && BUDGET[int($1)] == FIRST_BUDGET ? \
        beside(WIDTH[int($1)], v) : NaN):2 with lines lw 1.6 dt dash(v) lc rgb colour(v) notitle, \
    for [v = 1:V] BEST using (OF[int($1)] == v ? beside(WIDTH[int($1)], v) : NaN):2 \
        with points pt marker(v) ps 1 lc rgb colour(v) title VARIANT[v], \
    BEST using (OF[int($1)] > 0 ? beside(WIDTH[int($1)], OF[int($1)]) : NaN):2: \
        (sprintf("%s, width %.0f, %.3g FLOPs: optimum %.3g, the rule says %.3g", WHO[int($1)], \
        WIDTH[int($1)], BUDGET[int($1)], $2, RULE[int($1)])) @TIPS

unset logscale
set key default
eval place_legend
set key enhanced
plot for [s = 1:S] NaN with linespoints pt marker(s) dt dash(s) lw 1.6 lc rgb colour(s) \
         title SETTINGS[s], \
     NaN with points pt 6 ps 1.7 lw 2 lc rgb GREY title EXTRA
unset multiplot
set output
