# Heat maps of page size and backing: dark is good, pale is bad; the answer in a thick frame, the baseline in a thin one.
# data: column, row, value (-1e9: none), shade (0 best .. 1 worst), status, 1 answer or 2 baseline; a block a map.
heading = sprintf('Page sizes under %s: darker is better', workload)
subheading = 'columns: pool page;  rows: what lies under it;  thick frame: the answer;  thin frame: the baseline'
cell_width = (width - 20) / columns
map_height = 74 + 30 * rows
# from a deep blue (best) to nearly white (worst), by hand: the same in every terminal
mix(a, b, t) = int(a + (b - a) * t + 0.5)
shade(t) = t < 0 ? 0xeeeeee : 65536 * mix(33, 247, t) + 256 * mix(102, 251, t) + mix(172, 255, t)
set multiplot
load heading_script
set label 1003 constant at screen px(14),py(16) left font small textcolor rgb grey
unset border
unset grid
set tics scale 0 font small
set xrange [0.5:pages + 0.5]
set yrange [rows + 0.5:0.5]
set xtics ()
do for [p = 1:pages] { set xtics add (page_name[p] p) }
set ytics ()
do for [r = 1:rows] { set ytics add (row_name[r] r) }
do for [m = 1:maps] {
	column = (m - 1) % columns
	row = (m - 1) / columns
	left = 10 + column * cell_width + name_width
	top = 70 + row * map_height + 24
	set lmargin at screen px(left)
	set rmargin at screen px(10 + (column + 1) * cell_width - 16)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + 30 * rows)
	set label 1 map_name[m] at screen px(left),1 - py(top - 13) left textcolor rgb ink
	plot data index m - 1 using 1:2:(0.485):(0.47):(shade($4)) with boxxyerror fillcolor rgb variable fillstyle solid noborder, \
		'' index m - 1 using ($6 == 2 ? $1 : 1/0):2:(0.47):(0.43) with boxxyerror linecolor rgb ink linewidth 1.5 fillstyle empty, \
		'' index m - 1 using ($6 == 1 ? $1 : 1/0):2:(0.47):(0.43) with boxxyerror linecolor rgb '#d55e00' linewidth 4 fillstyle empty, \
		'' index m - 1 using 1:2:($3 > -1e8 ? sprintf(map_format[m], $3) : ''):($4 >= 0 && $4 < 0.5 ? 0xffffff : 0x222222) \
			with labels font small textcolor rgb variable, \
		'' index m - 1 using ($3 > -1e8 ? 1/0 : $1):2:(status_name[int($5) + 1]) with labels font ',8' textcolor rgb alarm
	load legend_end_script
}
unset multiplot
