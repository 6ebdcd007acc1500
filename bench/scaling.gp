# SPDX-License-Identifier: MIT
# Microseconds per token of a PEER layer against the number of experts. `bench scaling --plot FILE`
# sets `output` and $points (experts, median, 10th and 90th percentile) and loads this.
set encoding utf8
set terminal svg size 640,420 dynamic font 'sans-serif,14'
set output output
set border 3
set tics nomirror out scale 0.6
set logscale x 2
set logscale y
set format x "2^{%L}"
set xlabel "experts"
set ylabel "microseconds per token"
set yrange [1:*]
set key top left Left reverse
stats $points using 1:2 every ::0::0 nooutput
growth(x) = STATS_max_y * sqrt(x / STATS_max_x)
plot $points using 1:2:3:4 with yerrorbars pt 7 ps 0.7 lc rgb 0x0072B2 \
        title "forward pass, D = 64, H = 8, k = 16", \
    growth(x) with lines dt 2 lc rgb 0x808080 title "in proportion to √N"
set output
