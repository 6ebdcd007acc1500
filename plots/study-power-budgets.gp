# SPDX-License-Identifier: MIT
# What a budget shows: differences at equal sizes with 90 % intervals against the FLOPs of a run, a
# panel per variant that the last one of Figure 1 is held against; shaded, what the study's seeds of
# one size cannot show. Reads power-budgets.csv. Parameters: README.md.
name = "study-power-budgets"
here = ARG0[1:strlen(ARG0) - strlen("study-power-budgets.gp")]
load here."style.gp"

csv = tables."/power-budgets.csv"
stats csv using 0 nooutput
N = int(STATS_records)
array FLOPS[N]; array BASE[N]; array MEAN[N]; array FROM[N]; array TO[N]; array SHOWN[N]
array NAMES[N]
FIRST = ""; SEEDS = 0
stats csv using (I = int($0) + 1, FLOPS[I] = column("budget_flops"), BASE[I] = strcol("base"), \
    MEAN[I] = column("difference_nats"), FROM[I] = column("low"), TO[I] = column("high"), \
    SHOWN[I] = column("shown_nats"), FIRST = strcol("variant"), SEEDS = column("seeds"), 0) nooutput
eval read_arrays

known(x) = x == x
B = 0; LOW = 1e300; HIGH = 0; REACH = 0.01
do for [i = 1:N] {
    if ((sum [b = 1:B] (NAMES[b] eq BASE[i])) == 0) { B = B + 1; NAMES[B] = BASE[i] }
    LOW = least(LOW, FLOPS[i])
    HIGH = most(HIGH, FLOPS[i])
    REACH = most(REACH, abs(MEAN[i]))
    if (known(SHOWN[i])) { REACH = most(REACH, SHOWN[i]) }
    if (known(FROM[i])) { REACH = most(REACH, most(abs(FROM[i]), abs(TO[i]))) }
}

columns = least(columns, B)
TALL = 290
W = columns == 1 ? NARROW : 400 * columns
KEYS = 2
LONGEST = 44
eval measure_legend
eval open_terminal
set multiplot
set logscale x
eval log_xtics
set xrange [LOW / 1.6:HIGH * 1.6]
set yrange [-1.08 * REACH:1.08 * REACH]
set style fill transparent solid 0.15 noborder
do for [P = 1:B] {
    eval place_panel
    set title FIRST." minus ".NAMES[P] noenhanced offset 0,-0.4
    set xlabel "FLOPs of a run" offset 0,0.3
    set ylabel P % columns == 1 || columns == 1 ? "nats" : "" offset 1.5
    set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead lw 1 lc rgb GREY
    of(i) = BASE[int(i)] eq NAMES[P]
    plot SHOWN using (of($1) && known($2) ? FLOPS[int($1)] : NaN):(0):(FLOPS[int($1)] / 1.25): \
            (FLOPS[int($1)] * 1.25):(-$2):($2) with boxxyerror lc rgb GREY notitle, \
        FROM using (of($1) && known($2) ? FLOPS[int($1)] : NaN):2:(0):(TO[int($1)] - $2) \
            with vectors heads size screen 4.0 / W,90 lw 2 lc rgb colour(P) notitle, \
        MEAN using (of($1) ? FLOPS[int($1)] : NaN):2 with points pt marker(P) ps 1.2 \
            lc rgb colour(P) notitle, \
        MEAN using (of($1) ? FLOPS[int($1)] : NaN):2:(sprintf("%.3g FLOPs: %+.4f nats (%+.4f to %+.4f)", \
            FLOPS[int($1)], $2, FROM[int($1)], TO[int($1)])) @TIPS
}
unset arrow
unset logscale
eval place_legend
plot NaN with points pt 7 ps 1.2 lc rgb GREY title "in pairs at equal sizes, with 90 % interval", \
    NaN with boxes lc rgb GREY title sprintf("too small for %.0f seeds of one size", SEEDS)
unset multiplot
set output
