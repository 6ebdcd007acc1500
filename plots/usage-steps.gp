# SPDX-License-Identifier: MIT
# Which experts are used, over the course of training: the n x n grid of product keys at chosen
# steps, a row of panels per run and sparse block. Reads usage_steps.csv and usage_step_maps.csv.
# Parameters: README.md.
name = "usage-steps"
here = ARG0[1:strlen(ARG0) - strlen("usage-steps.gp")]
if (!exists("columns")) columns = 6
load here."style.gp"

steps_csv = tables."/usage_steps.csv"
stats steps_csv using 0 nooutput
N = int(STATS_records)
array NAME[N]; array FLOPS[N]; array RUN[N]; array BLOCK[N]; array SIDE[N]; array CELL[N]
array STEP[N]; array ROW[N]; array PLACE[N]
R = 0
stats steps_csv using (I = int($0) + 1, NAME[I] = strcol("variant"), \
    FLOPS[I] = column("budget_flops"), RUN[I] = column("run"), BLOCK[I] = column("block"), \
    SIDE[I] = column("side"), CELL[I] = column("cell"), STEP[I] = column("step"), 0) nooutput
set datafile nocolumnheaders

# Rows of one run and block begin on a line of their own.
follows(i) = i > 1 && (NAME[i] eq NAME[i - 1]) && RUN[i] == RUN[i - 1] && BLOCK[i] == BLOCK[i - 1]
WIDEST = 0
do for [i = 1:N] {
    PLACE[i] = follows(i) ? PLACE[i - 1] + 1 : 0
    if (PLACE[i] % columns == 0) { R = R + 1 }
    ROW[i] = R
    WIDEST = most(WIDEST, PLACE[i] + 1)
}
columns = least(columns, WIDEST)
SIZE = 150
GAP = 10
HEAD = 50
STRIP = 70
W = most(columns * (SIZE + GAP) + GAP, 380)
H = STRIP + R * (HEAD + SIZE + GAP)
eval open_terminal
set multiplot
load here."maps.gp"
unset xtics
unset ytics
# Rows run down, as in the table.
do for [P = 1:N] {
    LEFT = GAP + (PLACE[P] % columns) * (SIZE + GAP) + 0.0
    TOP = STRIP + (ROW[P] - 1) * (HEAD + SIZE + GAP) + HEAD + 0.0
    set lmargin at screen LEFT / W
    set rmargin at screen (LEFT + SIZE) / W
    set tmargin at screen 1 - TOP / H
    set bmargin at screen 1 - (TOP + SIZE) / H
    EDGE = SIDE[P] - 0.5
    set xrange [-0.5:EDGE]
    set yrange [EDGE:-0.5]
    SWEPT = FLOPS[P] > 0 ? sprintf(", %.3g FLOPs, run %d", FLOPS[P], RUN[P]) : ""
    WHOSE = NAME[P].SWEPT.sprintf(", block %d, %d x %d", BLOCK[P], SIDE[P], SIDE[P])
    unset label 1
    if (PLACE[P] == 0) { set label 1 WHOSE at graph 0, screen 1 - (TOP - 35) / H noenhanced }
    set title (STEP[P] == 0 ? "before training" : sprintf("step %d", STEP[P])) offset 0,-0.7
    plot tables."/usage_step_maps.csv" index P - 1 matrix using \
        (($1 + 0.5) * CELL[P] - 0.5):(($2 + 0.5) * CELL[P] - 0.5):(shade($3)) with image
    eval once
}
unset multiplot
set output
