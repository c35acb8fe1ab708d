# Lines over the number of threads, a panel a workload, one legend.
# data: threads, median, low, high; a block a series, panel after panel.
columns = panels < 3 ? panels : 3
heading = 'Scaling: higher is faster; parallel to the dotted guide is ideal'
subheading = 'million allocs and frees a second by all threads together; guide: the fastest pool at the fewest threads, scaled perfectly'
set multiplot
load legend_script
load heading_script
panel_rows_count = (panels + columns - 1) / columns
panel_height = (height - 84 - 20 * legend_rows) / panel_rows_count
set xtics ()
do for [t = 1:thread_counts] { set xtics add (sprintf('%d', threads[t]) threads[t]) }
set xtics font small
set ytics font small
if (threads_most > 8) { set logscale x 2 }
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = column * (width / columns) + 58
	top = 62 + row * panel_height + 26
	set lmargin at screen px(left)
	set rmargin at screen px((column + 1) * (width / columns) - 16)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 82)
	if (threads_most > 8) { set xrange [threads_least / 1.15:threads_most * 1.15] } else {
		set xrange [threads_least - 0.12 * (threads_most - threads_least):threads_most + 0.12 * (threads_most - threads_least)]
	}
	set yrange [0:*]
	set xlabel 'threads' font small offset 0,0.4 textcolor rgb grey
	set label 1 panel_name[p] at screen px(left),1 - py(top - 13) left textcolor rgb ink
	set ylabel (column == 0 ? 'M ops/s' : '') font small offset 1,0 textcolor rgb grey
	set label 4 panel_missing[p] at screen px((column + 1) * (width / columns) - 16),1 - py(top + panel_height - 35) right font small textcolor rgb alarm
	plot panel_guide[p] == panel_guide[p] ? panel_guide[p] * x / threads_least : NaN \
			with lines linecolor rgb grey linewidth 1 dashtype (2,4), \
		for [k = 1:legends] data index (p - 1) * series + legend[k] - 1 using 1:2:3:4 with yerrorbars \
			pointtype -1 linecolor rgb series_rgb[legend[k]] linewidth 1, \
		for [k = 1:legends] data index (p - 1) * series + legend[k] - 1 using 1:2 with linespoints \
			linetype 101 + series_dash[legend[k]] linecolor rgb series_rgb[legend[k]] \
			pointtype series_point[legend[k]] pointsize 1 linewidth 1.8
	load legend_end_script
}
unset multiplot
