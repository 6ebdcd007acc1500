# SPDX-License-Identifier: MIT
# What maps of experts have in common: colours by the logarithm of the load relative to even use,
# and their bar above the panels of a canvas of W x H pixels.

# After cividis, even in lightness and the same to all kinds of colour vision, but without its darkest
# blues: black is left for experts that are never used, on light pages and on dark ones.
NEVER = 0x0a0a0a
set palette defined (0 "#3560a8", 1 "#4a659b", 2 "#5b6b8c", 3 "#6b7381", 4 "#7d7c79", 5 "#908a77", \
                     6 "#a59c74", 7 "#c3b369", 8 "#e1cc55", 9 "#fee838")
# Half octaves: as much as the eye tells apart, in a fraction of the room.
set palette maxcolors 12
set border 15
unset grid
unset key
set cbrange [-3:3]
set cbtics ("≤ 1/8" -3, "1/4" -2, "1/2" -1, "1" 0, "2" 1, "4" 2, "≥ 8" 3) scale 0.4 offset 0,0.5
set cblabel "retrievals relative to even use" offset 0,1.1
set object 1 rectangle from graph 0,0 to graph 1,1 fc rgb NEVER fs solid noborder behind
set object 2 rectangle from screen 0.5 - 206.0 / W, screen 1 - 22.0 / H \
    to screen 0.5 - 188.0 / W, screen 1 - 8.0 / H fc rgb NEVER fs solid noborder
set label 99 "never" at screen 0.5 - 197.0 / W, screen 1 - 31.0 / H center
set colorbox horizontal user origin 0.5 - 142.0 / W, 1 - 22.0 / H size 300.0 / W, 14.0 / H
# After the first panel these are drawn.
once = "unset colorbox; unset object 2; unset label 99"
shade(load) = load > 0 ? log(load) / log(2) : NaN
