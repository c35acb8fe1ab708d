# Bars a workload, the fastest on top, whiskers the confidence interval, the floor as a dashed line.
# data: rank, median, low, high (-1: none), series, status; a block a panel.
panel_height = 86 + 24 * rows
cell_width = (width - 20) / columns
same_threads = 1
do for [p = 2:panels] { same_threads = same_threads && panel_threads[p] == panel_threads[1] }
threads_text(n) = sprintf('%d thread%s', n, n == 1 ? '' : 's')
heading = 'Throughput' . (same_threads ? ' with ' . threads_text(panel_threads[1]) : '') . ': longer bars are faster'
subheading = 'million allocs and frees a second, median and its 95 % confidence interval; dashed: the floor (a pool that does nothing), where it is near'
set multiplot
load heading_script
set style fill solid 0.85 noborder
set grid xtics noytics
set ytics scale 0
set xtics font small
set ytics font small
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = 10 + column * cell_width + name_width
	right = 10 + (column + 1) * cell_width - 24
	top = 70 + row * panel_height + 24
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + 24 * panel_rows[p])
	# the floor is shown where it is near; far off it would press the bars together
	limit = panel_most[p] * 1.22
	floor_near = panel_floor[p] == panel_floor[p] && panel_floor[p] <= panel_most[p] * 1.8
	limit = floor_near && panel_floor[p] * 1.03 > limit ? panel_floor[p] * 1.03 : limit
	set xrange [0:limit]
	set yrange [panel_rows[p] + 0.6:0.4]
	set xtics 0,tic_step(limit),limit
	set xlabel 'M ops/s' font small offset 0,0.6 textcolor rgb grey
	unset arrow
	set label 1 panel_name[p] at screen px(14 + column * cell_width),1 - py(top - 13) left textcolor rgb ink
	note = same_threads ? '' : threads_text(panel_threads[p])
	if (panel_floor[p] == panel_floor[p]) {
		note = note . sprintf('%sfloor %.0f', same_threads ? '' : ', ', panel_floor[p])
		if (floor_near) {
			set arrow 1 from panel_floor[p],graph 0 to panel_floor[p],graph 1 nohead linestyle 100 front
		} else {
			note = note . ' →'
		}
	}
	set label 2 note at screen px(right),1 - py(top - 13) right font small textcolor rgb grey
	plot data index p - 1 using ($2 / 2):1:(0):2:($1 - 0.34):($1 + 0.34):(series_rgb[int($5)]):ytic(series_name[int($5)]) \
			with boxxyerror linecolor rgb variable, \
		'' index p - 1 using 2:1:3:4 with xerrorbars pointtype -1 linecolor rgb ink linewidth 1.2, \
		'' index p - 1 using ($4 < 0 ? 1/0 : $4):1:(sprintf($2 < 10 ? '%.2f' : '%.1f', $2)) \
			with labels left offset 0.7,0 font small textcolor rgb ink, \
		'' index p - 1 using ($4 < 0 ? limit * 0.01 : 1/0):1:(status_name[int($6) + 1]) \
			with labels left font small textcolor rgb alarm
	unset label
}
unset multiplot
