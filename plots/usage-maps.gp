# SPDX-License-Identifier: MIT
# Which experts are used: the n x n grid of product keys, a panel per run and sparse block.
# Reads usage_panels.csv and usage_maps.csv. Parameters: README.md.
name = "usage-maps"
here = ARG0[1:strlen(ARG0) - strlen("usage-maps.gp")]
load here."style.gp"

panels_csv = tables."/usage_panels.csv"
stats panels_csv using 0 nooutput
N = int(STATS_records)
array NAME[N]; array FLOPS[N]; array RUN[N]; array BLOCK[N]; array SIDE[N]; array CELL[N]
stats panels_csv using (I = int($0) + 1, NAME[I] = strcol("variant"), \
    FLOPS[I] = column("budget_flops"), RUN[I] = column("run"), BLOCK[I] = column("block"), \
    SIDE[I] = column("side"), CELL[I] = column("cell"), 0) nooutput
set datafile nocolumnheaders

columns = least(columns, N)
W = most(316 * columns, 380)
HEAD = 52
TALL = HEAD + (W / columns - 88) + 70
STRIP = 74
H = STRIP + TALL * ((N + columns - 1) / columns)
eval open_terminal
set multiplot

load here."maps.gp"
set xlabel "sub-key of the second half" offset 0,0.6
set ylabel "sub-key of the first half" offset 0.5
# Rows run down, as in the table.
do for [P = 1:N] {
    eval place_panel
    EDGE = SIDE[P] - 0.5
    set xrange [-0.5:EDGE]
    set yrange [EDGE:-0.5]
    set xtics (0, int(SIDE[P] / 2), int(SIDE[P] - 1))
    set ytics (0, int(SIDE[P] / 2), int(SIDE[P] - 1))
    SWEPT = FLOPS[P] > 0 ? sprintf(", %.3g FLOPs\nrun %d, ", FLOPS[P], RUN[P]) : "\n"
    set title NAME[P].SWEPT.sprintf("block %d", BLOCK[P]) noenhanced offset 0,-0.4
    plot tables."/usage_maps.csv" index P - 1 matrix using \
        (($1 + 0.5) * CELL[P] - 0.5):(($2 + 0.5) * CELL[P] - 0.5): \
        (shade($3)) with image
    eval once
}
unset multiplot
set output
