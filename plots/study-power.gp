# SPDX-License-Identifier: MIT
# The smallest difference that a number of paired seeds shows, with what is not known of the noise.
# Reads power.csv. Parameters: README.md.
name = "study-power"
here = ARG0[1:strlen(ARG0) - strlen("study-power.gp")]
load here."style.gp"

power_csv = tables."/power.csv"
FIRST = 0
LEAST = 1e300
HIGH = 0
stats power_csv using (WANTED = column("wanted_nats"), TAKEN = column("taken"), \
    FIRST = most(FIRST, column("difference_nats")), LEAST = least(LEAST, column("difference_nats")), \
    HIGH = most(HIGH, column("seeds")), 0) nooutput
W = 640
H = 380
eval open_terminal
set logscale y
set xrange [1.7:HIGH + 0.3]
set yrange [least(LEAST, WANTED) / 1.6:FIRST * 1.8]
set xtics 2, 2
set xlabel "paired seeds" offset 0,0.3
set ylabel "difference shown in 80% of studies (nats)" offset 1
set ytics ()
do for [e = -6:1] { do for [m in "1 2 5"] { set ytics add (sprintf("%g", m * 10.0**e) m * 10.0**e) } }
set key top right Left reverse samplen 2.5
set arrow from TAKEN, graph 0 to TAKEN, graph 1 nohead lw 1.2 dt 3 lc rgb GREY
set style fill transparent solid 0.15 noborder
plot power_csv using (column("seeds")):(column("low")):(column("high")) with filledcurves \
        lc rgb colour(1) title "noise at the ends of its 90% interval", \
    power_csv using (column("seeds")):(column("difference_nats")) with linespoints pt 7 ps 1 lw 1.8 \
        lc rgb colour(1) title "at the measured noise", \
    power_csv using (column("seeds")):(column("difference_nats")): \
        (sprintf("%.0f seeds show %.4f nats", column("seeds"), column("difference_nats"))) @TIPS, \
    WANTED with lines lw 1.8 dt 2 lc rgb colour(2) \
        title sprintf("wanted: %g nats", WANTED), \
    NaN with lines lw 1.2 dt 3 lc rgb GREY title sprintf("taken: %.0f seeds", TAKEN)
set output
