# SPDX-License-Identifier: MIT
# What the figures of tracked blocks have in common: the blocks of the highest budget in `csv`, in
# order of appearance, and the legend.
#   S, NAME[s], NUMBER[s] of its colour, BLOCK[s], LABEL[s]    N rows, OF[i] = s of a row, or 0
stats csv using 0 nooutput
N = int(STATS_records)
array ROWNAME[N]; array ROWNUMBER[N]; array ROWRUN[N]; array ROWBLOCK[N]; array ROWFLOPS[N]
array OF[N]; array NAME[N]; array NUMBER[N]; array RUN[N]; array BLOCK[N]; array LABEL[N]
array AMONG[N]
HIGHEST = 0
stats csv using (I = int($0) + 1, ROWNAME[I] = strcol("variant"), ROWNUMBER[I] = column("number"), \
    ROWRUN[I] = column("run"), ROWBLOCK[I] = column("block"), \
    ROWFLOPS[I] = column("budget_flops"), HIGHEST = most(HIGHEST, ROWFLOPS[I]), 0) nooutput
S = 0
do for [i = 1:N] {
    OF[i] = 0
    if (ROWFLOPS[i] == HIGHEST) {
        if (S == 0 || ROWNAME[i] ne NAME[S] || ROWRUN[i] != RUN[S] || ROWBLOCK[i] != BLOCK[S]) {
            S = S + 1
            NAME[S] = ROWNAME[i]; NUMBER[S] = ROWNUMBER[i]
            RUN[S] = ROWRUN[i]; BLOCK[S] = ROWBLOCK[i]
        }
        OF[i] = S
    }
}
# Blocks of one run share its colour, and differ in marker and dash pattern. Where all are the same
# block of different runs, its number tells nothing.
LONGEST = 0
ONE = S > 0 && (sum [s = 1:S] (BLOCK[s] == BLOCK[1])) == S
do for [s = 1:S] {
    AMONG[s] = s > 1 ? (sum [r = 1:s - 1] (NUMBER[r] == NUMBER[s])) : 0
    LABEL[s] = NAME[s].(ONE ? "" : sprintf(", block %d", BLOCK[s]))
    LONGEST = most(LONGEST, strlen(LABEL[s]))
}
hue(s) = colour(NUMBER[s])
shape(s) = marker(NUMBER[s] + 3 * AMONG[s])
pattern(s) = dash(NUMBER[s] + AMONG[s])
WHOSE = HIGHEST > 0 ? ", ".power(HIGHEST)." FLOPs" : ""
KEYS = S + 1
