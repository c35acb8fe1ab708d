# Throughput against the footprint ratio; the stepped line joins the pools that none beats in both.
# data: ratio, low, high, M ops/s, low, high, series; then the frontier's ratio, M ops/s; two blocks a panel.
columns = panels < 3 ? panels : 3
heading = 'Speed against memory: up and to the left is better'
subheading = 'x: peak resident over peak live;  y: million allocs and frees a second;  stepped line: pools that no other beats in both'
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
	set xlabel 'footprint ratio' font small offset 0,0.4 textcolor rgb grey
	set ylabel (column == 0 ? 'M ops/s' : '') font small offset 1,0 textcolor rgb grey
	set label 1 panel_name[p] at screen px(left),1 - py(top - 13) left textcolor rgb ink
	set label 2 '↖ better' at graph 0.03,0.94 left font small textcolor rgb grey
	if (panel_drawn[p] == 0) {
		set xrange [1:2]
		set yrange [0:1]
			} else {
		set xrange [ratio_least - 0.02:ratio_most + 0.06 * (ratio_most - ratio_least) + 0.02]
		set yrange [0:panel_most[p] * 1.25]
	}
	set label 4 panel_missing[p] at screen px((column + 1) * (width / columns) - 16),1 - py(top + panel_height - 35) right font small textcolor rgb alarm
	plot data index 2 * p - 1 using 1:2 with fsteps linecolor rgb grey linewidth 1.2 dashtype (2,4), \
		'' index 2 * p - 2 using 1:4:2:3:5:6:(series_rgb[int($7)]) with xyerrorbars pointtype -1 linecolor rgb variable linewidth 1, \
		'' index 2 * p - 2 using 1:4:(1.5):(series_point[int($7)]):(series_rgb[int($7)]) with points \
			pointsize variable pointtype variable linecolor rgb variable linewidth 1.6
	load legend_end_script
}
unset multiplot
