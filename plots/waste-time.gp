# A panel a native backend, the leanest first: waste stacked by cause over the trace.
# data: million events, MiB a cause; a block a panel.
heading = sprintf('Waste by cause under %s: the lower, the leaner', workload)
subheading = 'committed bytes that are no caller''s; the scale is that of the pool at work: the drain at the end may leave it'
x_text = 'million events'
set xrange [0:last]
columns = panels < 4 ? panels : 4
set multiplot
load cause_legend_script
load heading_script
rows_count = (panels + columns - 1) / columns
panel_height = (height - 104) / rows_count
set yrange [0:most * 1.08]
set ytics font small
set xtics font small
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	panel_width = (width - 60.0) / columns
	left = 56 + column * panel_width
	right = left + panel_width - 18
	top = 62 + row * panel_height + 26
	s = panel_series[p]
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 54)
	set format y (column == 0 ? '%g' : '')
	set format x (p + columns > panels ? '%g' : '')
	set label 1 series_name[s] at screen px(left + 15),1 - py(top - 12) left textcolor rgb ink
	set label 6 '' at screen px(left + 5),1 - py(top - 12) point pointtype 5 pointsize 1.1 linecolor rgb series_rgb[s]
	if (p == 1) {
		set label 4 'MiB' at screen px(14),1 - py(top - 12) left font small textcolor rgb grey
		set label 5 x_text at screen px(width - 22),py(38) right font small textcolor rgb grey
	}
	set label 3 panel_missing[p] at graph 0.5,0.5 center textcolor rgb alarm
	plot for [i = 1:causes] data index p - 1 using 1:(sum [k = 1:causes - i + 1] column(1 + k)) \
		with filledcurves y1=0 linecolor rgb cause_rgb[causes - i + 1] fillstyle solid noborder
	load legend_end_script
	unset object
}
unset multiplot
