# SPDX-License-Identifier: MIT
# Microseconds per token of a PEER layer against the number of experts. `bench scaling --plot FILE`
# sets `output`, `work` (what was timed) and $points (experts, median, 10th and 90th percentile) and
# loads this.
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
first(column) = real(word($points[1], column))
growth(x) = first(2) * sqrt(x / first(1))
plot $points using 1:2:3:4 with yerrorbars pt 7 ps 0.7 lc rgb 0x0072B2 title work, \
    growth(x) with lines dt 2 lc rgb 0x808080 title "in proportion to √N"
set output
