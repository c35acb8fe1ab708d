# Lines over the laps of the ageing pass, a panel a workload, one legend.
# data: lap, resident peak / live peak, MiB left at the lap's end; a block a series, panel after panel.
heading = 'Ageing: a flat line stays young'
subheading = 'peak resident over peak live of each lap; the first and the last lap (marked) do the same work'
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
	set xlabel 'lap' font small offset 0,0.4 textcolor rgb grey
	set xrange [0.5:laps + 0.5]
	set yrange [1:panel_most[p] * 1.04]
	plot for [k = 1:legends] data index (p - 1) * series + legend[k] - 1 using 1:2 with lines \
			linetype 101 + series_dash[legend[k]] linecolor rgb series_rgb[legend[k]] linewidth 1.8, \
		for [k = 1:legends] data index (p - 1) * series + legend[k] - 1 using ($1 == 1 || $1 == laps ? $1 : 1/0):2 with points \
			linecolor rgb series_rgb[legend[k]] pointtype series_point[legend[k]] pointsize 1.1
	load legend_end_script
}
unset multiplot
