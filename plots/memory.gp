# A panel a backend, the leanest first: live bytes filled grey, the gap up to resident tinted.
# data: million events, live, committed, resident (MiB); a block a panel.
columns = panels < 4 ? panels : 4
heading = sprintf('Memory under %s: the less colour above the grey, the less waste', workload)
subheading = 'grey: live bytes;  line: resident;  dots: committed;  factor: peak resident over peak live;  leanest first'
set multiplot
load heading_script
rows_count = (panels + columns - 1) / columns
panel_height = (height - 92) / rows_count
set xrange [0:last]
set yrange [0:most * 1.04]
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
	set label 2 panel_note[p] at screen px(right),1 - py(top - 12) right textcolor rgb ink
	set label 3 panel_missing[p] at graph 0.5,0.5 center textcolor rgb alarm
	if (p == 1) {
		set label 4 'MiB' at screen px(14),1 - py(top - 12) left font small textcolor rgb grey
		set label 5 'million events' at screen px(width - 22),py(12) right font small textcolor rgb grey
	}
	plot data index p - 1 using 1:2:4 with filledcurves linecolor rgb series_rgb[s] fillstyle transparent solid 0.28 noborder, \
		'' index p - 1 using 1:2 with filledcurves y1=0 linecolor rgb '#c4c4c4' fillstyle solid noborder, \
		'' index p - 1 using 1:3 with lines linecolor rgb series_rgb[s] linewidth 1.4 dashtype (1.5,4), \
		'' index p - 1 using 1:4 with lines linecolor rgb series_rgb[s] linewidth 2
	load legend_end_script
}
unset multiplot
