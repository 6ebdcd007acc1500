# SPDX-License-Identifier: MIT
# What maps of experts have in common: colours by the logarithm of the load relative to even use,
# and their bar above the panels of a canvas of W x H pixels.

# cividis: even in lightness, the same to all kinds of colour vision.
set palette defined (0 "#00224e", 1 "#123570", 2 "#3b496c", 3 "#575d6d", 4 "#707173", 5 "#8a8678", \
                     6 "#a59c74", 7 "#c3b369", 8 "#e1cc55", 9 "#fee838")
# Half octaves: as much as the eye tells apart, in a fraction of the room.
set palette maxcolors 12
set border 15
unset grid
unset key
set cbrange [-3:3]
set cbtics ("≤ 1/8" -3, "1/4" -2, "1/2" -1, "1" 0, "2" 1, "4" 2, "≥ 8" 3) scale 0.4 offset 0,0.5
set cblabel "retrievals relative to even use; blank: never used" offset 0,1.1
set colorbox horizontal user origin 0.5 - 150.0 / W, 1 - 22.0 / H size 300.0 / W, 14.0 / H
shade(load) = load > 0 ? log(load) / log(2) : NaN
