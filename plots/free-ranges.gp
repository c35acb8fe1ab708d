# Free memory over the size of its ranges, both logarithmic, a panel a workload, one legend.
# data: size (bytes), KiB free in ranges from that size to twice it; a block a series, panel after panel.
heading = 'Free memory by size of its ranges: mass on the right is usable'
subheading = 'KiB free in ranges of that size and up to twice it, the mean over the trace without its drain; dotted: an OS page'
columns = panels < 3 ? panels : 3
set multiplot
load legend_script
load heading_script
rows_count = (panels + columns - 1) / columns
panel_height = (height - 84 - 20 * legend_rows) / rows_count
set xtics font small
set ytics font small
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = column * (width / columns) + 58
	right = (column + 1) * (width / columns) - 16
	top = 62 + row * panel_height + 26
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 82)
	set label 1 panel_name[p] at screen px(left),1 - py(top - 13) left textcolor rgb ink
	set xlabel 'size of the free range' font small offset 0,0.4 textcolor rgb grey
	set label 2 'KiB' at screen px(left - 8),1 - py(top - 13) right font small textcolor rgb grey
	set logscale xy
	set xrange [12:largest * 3]
	set xtics ('16' 16, '256' 256, '4K' 4096, '64K' 65536, '1M' 1048576, '16M' 16777216, '1G' 1073741824)
	set yrange [0.5:most * 1.5]
	set arrow 1 from 4096,graph 0 to 4096,graph 1 nohead linestyle 100 back
	plot for [k = 1:legends] data index (p - 1) * series + legend[k] - 1 using 1:2 with linespoints \
			linetype 101 + series_dash[legend[k]] linecolor rgb series_rgb[legend[k]] \
			pointtype series_point[legend[k]] pointsize 0.7 linewidth 1.5
	load legend_end_script
}
unset multiplot
