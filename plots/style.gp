# SPDX-License-Identifier: MIT
# Shared by every figure: parameters, terminals, colours, markers. See README.md.

if (!exists("tables")) tables = "."
if (!exists("format")) format = "svg"
if (!exists("output")) output = name.".".format
if (!exists("columns")) columns = 2

set encoding utf8
set datafile separator ","
set datafile columnheaders

# Okabe and Ito's colours without their yellow, which is lost on white. Variants also differ in
# marker and dash pattern, for grey print;
# the lengths have no common factor, so that no two of many variants look the same.
array COLOURS[7] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x808080]
array MARKERS[13] = [7, 5, 9, 13, 11, 15, 4, 8, 12, 10, 14, 2, 1]
array DASHES[5] = [1, 2, 4, 5, 3]
GREY = 0x8a8a8a
FAINT = 0xc08a8a8a # most of it transparent, for a light page and a dark one
PALE = 0x70000000 # to be added to a colour
NARROW = 380 # of a figure with one panel a row, as phones show it
LETTER = 7.9 # of a text, about
colour(i) = COLOURS[int(i + 6) % 7 + 1]
marker(i) = MARKERS[int(i + 12) % 13 + 1]
dash(i) = DASHES[int(i + 4) % 5 + 1]

set pointsize 0.7
set border 3 lw 1
set tics nomirror out scale 0.6
set grid lc rgb GREY lw 0.5 dt 3
power(x) = gprintf("%.1t×10^{%T}", x)
least(a, b) = a < b ? a : b
most(a, b) = a > b ? a : b

# The next of 1, 2, 5 times a power of ten.
decade(x) = 10.0**floor(log10(x))
step_of(x) = x <= decade(x) ? decade(x) : x <= 2 * decade(x) ? 2 * decade(x) : \
    x <= 5 * decade(x) ? 5 * decade(x) : 10 * decade(x)

# Invisible points with a text each, their third column, which an SVG shows as a tooltip.
TIPS = "with labels hypertext point pt 7 ps 1.7 lc rgb 0xff000000 notitle"

# What follows are texts of commands: eval NAME.

# A terminal for a canvas of W x H pixels.
open_terminal = "eval terminal_of(W, H); set output output"
terminal_of(w, h) = \
    format eq "pdf" ? sprintf("set terminal pdfcairo size %g,%g font 'sans,11'", \
                              w / 110.0, h / 110.0) : \
    format eq "png" ? sprintf("set terminal pngcairo size %d,%d font 'sans,10.5'", w, h) : \
    sprintf("set terminal svg size %d,%d dynamic font 'sans-serif,14'", w, h)

# From here on `plot ARRAY using ...`: arrays are read as if they were files, without commas or
# header; a row's index is $1, its value $2.
read_arrays = "set datafile nocolumnheaders; set datafile separator whitespace"

# Ticks at 1, 2, 5 of every decade from LOW to HIGH; where there are many decades, at 1.
log_xtics = "set xtics (); \
    do for [e = int(floor(log10(LOW))):int(ceil(log10(HIGH)))] { \
        do for [m in HIGH < 300.0 * LOW ? '1 2 5' : '1'] { \
        set xtics add (gprintf('%.0s%c', m * 10.0**e) m * 10.0**e) } }"

# The same without texts.
blank_xtics = "set xtics (); \
    do for [e = int(floor(log10(LOW))):int(ceil(log10(HIGH)))] { \
        do for [m in HIGH < 300.0 * LOW ? '1 2 5' : '1'] { \
        set xtics add ('' m * 10.0**e) } }"

# A panel by its edges in pixels.
place_frame = "set lmargin at screen (LEFT + 0.0) / W; set rmargin at screen (RIGHT + 0.0) / W; \
    set tmargin at screen 1 - (UPPER + 0.0) / H; set bmargin at screen 1 - (LOWER + 0.0) / H"

# Panel P of a grid with `columns` columns, each TALL pixels high with HEAD pixels of title, below
# STRIP pixels of legend.
HEAD = 34
place_panel = "COLUMN = (P - 1) % columns; ROW = (P - 1) / columns; \
    set lmargin at screen (COLUMN + 0.0) / columns + 74.0 / W; \
    set rmargin at screen (COLUMN + 1.0) / columns - 22.0 / W; \
    set tmargin at screen 1 - (STRIP + ROW * TALL + HEAD + 0.0) / H; \
    set bmargin at screen 1 - (STRIP + (ROW + 1) * TALL - 66.0) / H"

# The legend's strip, for KEYS entries of at most LONGEST characters, and with it the height of a
# figure of B panels.
measure_legend = "KEYCOLUMNS = most(1, least(KEYS, int(W / (LONGEST * 9.5 + 75)))); \
    STRIP = 16 + 22 * int(ceil(1.0 * KEYS / KEYCOLUMNS)); \
    H = STRIP + TALL * ((B + columns - 1) / columns)"
place_legend = "set lmargin at screen 0.01; set rmargin at screen 0.99; \
    set tmargin at screen 0.999; set bmargin at screen 1 - 1.0 * STRIP / H; \
    unset border; unset tics; unset xlabel; unset ylabel; unset title; unset grid; \
    set xrange [0:1]; set yrange [0:1]; \
    set key center center horizontal maxcols KEYCOLUMNS noenhanced samplen 2.5 Left reverse"
