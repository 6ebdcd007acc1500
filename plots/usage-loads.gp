# SPDX-License-Identifier: MIT
# Which experts are used, where they are few and form no grid: bars of their loads, a panel per run
# and sparse block. Reads usage_loads.csv. Parameters: README.md.
name = "usage-loads"
here = ARG0[1:strlen(ARG0) - strlen("usage-loads.gp")]
load here."style.gp"

loads_csv = tables."/usage_loads.csv"
stats loads_csv using 0 nooutput
N = int(STATS_records)
array NAME[N]; array FLOPS[N]; array RUN[N]; array BLOCK[N]; array EXPERTS[N]; array HIGH[N]
array PANEL[N]; array EXPERT[N]; array LOAD[N]
B = 0
stats loads_csv using (I = int($0) + 1, EXPERT[I] = column("expert"), LOAD[I] = column("load"), \
    B = EXPERT[I] == 0 ? B + 1 : B, PANEL[I] = B, NAME[B] = strcol("variant"), \
    FLOPS[B] = column("budget_flops"), RUN[B] = column("run"), BLOCK[B] = column("block"), \
    EXPERTS[B] = EXPERT[I] + 1, \
    HIGH[B] = most(EXPERT[I] == 0 ? 1.0 : HIGH[B], LOAD[I]), 0) nooutput
eval read_arrays

columns = least(columns, B)
W = most(330 * columns, 380)
HEAD = 52
TALL = 260
STRIP = 8
H = STRIP + TALL * ((B + columns - 1) / columns)
eval open_terminal
set multiplot
unset key
set style fill solid 0.85 noborder
set boxwidth 0.8
set xlabel "expert" offset 0,0.6
set ylabel "load over mean" offset 1.5
array EVEN[2] = [1, 1]
do for [P = 1:B] {
    eval place_panel
    E = int(EXPERTS[P])
    EDGE = E - 0.4
    TOP = 1.1 * HIGH[P]
    set xrange [-0.6:EDGE]
    set yrange [0:TOP]
    set xtics (0, int(E / 2), int(E - 1))
    SWEPT = FLOPS[P] > 0 ? sprintf(", %.3g FLOPs\nrun %d, ", FLOPS[P], RUN[P]) : "\n"
    set title NAME[P].SWEPT.sprintf("block %d", BLOCK[P]) noenhanced offset 0,-0.4
    plot EXPERT using (PANEL[int($1)] == P ? $2 : NaN):(LOAD[int($1)]) with boxes lc rgb colour(1), \
        EVEN using ($1 == 1 ? -0.6 : EDGE):2 with lines lw 1.5 dt 2 lc rgb colour(2)
}
unset multiplot
set output
