# SPDX-License-Identifier: MIT
# The best models of a study on several texts: bits per byte minus those of the first variant, which
# stand at the right; a panel per budget, a row per text, the variants of a row one below the other.
# Reads table1.csv. Parameters: README.md.
name = "study-table1"
here = ARG0[1:strlen(ARG0) - strlen("study-table1.gp")]
load here."style.gp"

csv = tables."/table1.csv"
stats csv using 0 nooutput
N = int(STATS_records)
array TEXT[N]; array FLOPS[N]; array VARIANT[N]; array BITS[N]
array NAMES[N]; array KINDS[N]; array BUDGETS[N]
stats csv using (I = int($0) + 1, TEXT[I] = strcol("text"), FLOPS[I] = column("budget_flops"), \
    VARIANT[I] = strcol("variant"), BITS[I] = column("bits_per_byte"), 0) nooutput
eval read_arrays

# A text is shown by its file's name without what follows the first dot.
short(text) = strstrt(text, ".") > 1 ? text[1:strstrt(text, ".") - 1] : text
T = 0; S = 0; B = 0
LONGEST = 0; WIDEST = 0
do for [i = 1:N] {
    if (BITS[i] == BITS[i]) {
        if ((sum [t = 1:T] (NAMES[t] eq TEXT[i])) == 0) { T = T + 1; NAMES[T] = TEXT[i] }
        if ((sum [s = 1:S] (KINDS[s] eq VARIANT[i])) == 0) { S = S + 1; KINDS[S] = VARIANT[i] }
        if ((sum [b = 1:B] (BUDGETS[b] == FLOPS[i])) == 0) { B = B + 1; BUDGETS[B] = FLOPS[i] }
        LONGEST = most(LONGEST, strlen(VARIANT[i]))
        WIDEST = most(WIDEST, strlen(short(TEXT[i])))
    }
}
text_of(i) = sum [t = 1:T] (NAMES[t] eq TEXT[i] ? t : 0)
kind_of(i) = sum [s = 1:S] (KINDS[s] eq VARIANT[i] ? s : 0)
# The first variant's; 0 where it has none.
base_of(text, flops) = sum [j = 1:N] (BITS[j] == BITS[j] && TEXT[j] eq text && \
    FLOPS[j] == flops && VARIANT[j] eq KINDS[1] ? BITS[j] : 0)
shown(i) = BITS[i] == BITS[i] && base_of(TEXT[i], FLOPS[i]) > 0 && kind_of(i) > 1
apart(i) = BITS[i] - base_of(TEXT[i], FLOPS[i])
tip(i) = sprintf("%s on %s: %.4f bits per byte, %+.4f from %s", VARIANT[i], TEXT[i], BITS[i], apart(i), KINDS[1])
LOW = 0.0; HIGH = 0.0
do for [i = 1:N] {
    if (shown(i)) { LOW = least(LOW, apart(i)); HIGH = most(HIGH, apart(i)) }
}

# Pixels: a variant's line, a text's rows; names of texts once a row of panels, the first variant's
# own bits beside each panel.
LINE = 13
ROW = most(2, S) * LINE
BASES = 52
columns = columns == 1 ? 1 : least(3, B)
TALL = HEAD + T * ROW + 70
LABELS = WIDEST * LETTER + 20
W = columns == 1 ? most(NARROW, LABELS + 200) : LABELS + columns * 250
EACH = (W - LABELS) / columns
KEYS = most(1, S - 1)
eval measure_legend
eval open_terminal
set multiplot
SPAN = most(HIGH - LOW, 0.02)
set xrange [LOW - 0.08 * SPAN:HIGH + 0.08 * SPAN]
set yrange [0:T]
set border 1
unset ytics
set xtics step_of(SPAN / 3)
set xlabel "bits per byte, minus ".(S > 0 ? KINDS[1] : "") noenhanced offset 0,0.3
do for [P = 1:B] {
    C = (P - 1) % columns
    LEFT = LABELS + C * EACH
    RIGHT = LEFT + EACH - BASES
    UPPER = STRIP + ((P - 1) / columns) * TALL + HEAD
    LOWER = UPPER + T * ROW
    eval place_frame
    set title power(BUDGETS[P])." FLOPs" offset 0,-0.4
    unset label
    unset arrow
    set label 2 * T + 1 KINDS[1] at graph 1, graph 1 offset 0.8,0.6 noenhanced tc rgb GREY font ",11"
    do for [t = 1:T] {
        BASE = base_of(NAMES[t], BUDGETS[P])
        if (C == 0) { \
            set label t short(NAMES[t]) at graph 0, first T - t + 0.5 right offset -1,0 noenhanced }
        set label T + t "".(BASE > 0 ? sprintf("%.3f", BASE) : "") at graph 1, first T - t + 0.5 \
            offset 0.8,0 tc rgb GREY
        set arrow t from graph 0, first T - t to graph 1, first T - t nohead lw 0.5 lc rgb GREY
    }
    set arrow T + 1 from 0, graph 0 to 0, graph 1 nohead lw 1 lc rgb GREY
    drawn(i, s) = shown(i) && FLOPS[i] == BUDGETS[P] && kind_of(i) == s
    y(i) = T - text_of(i) + 1 - (kind_of(i) - 1.0) / S
    plot for [s = 2:S] BITS using (drawn(int($1), s) ? apart(int($1)) : NaN):(y(int($1))) \
        with points pt marker(s) ps 0.9 lc rgb colour(s) notitle, \
        BITS using (shown(int($1)) && FLOPS[int($1)] == BUDGETS[P] ? apart(int($1)) : NaN):(y(int($1))): \
        (tip(int($1))) @TIPS
}
unset label
unset arrow
eval place_legend
plot for [s = 2:S] NaN with points pt marker(s) ps 0.9 lc rgb colour(s) title KINDS[s]
unset multiplot
set output
