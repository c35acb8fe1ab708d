# The complementary distribution of single operations' times, log-log: allocs left, frees right.
# data: ns, share that took longer, 1 where a mark goes; a block for allocs and one for frees a series.
heading = sprintf('Latency of %s: further left is faster, steeper is steadier', workload)
subheading = sprintf('share of single operations that took longer than the time below; %d thread%s', threads, threads == 1 ? '' : 's')
set multiplot
load legend_script
load heading_script
set logscale xy
set yrange [smallest:1]
set ytics ('all' 1, '1 in 10' 0.1, '1 in 100' 0.01, '1 in 1000' 1e-3, '1 in 10⁴' 1e-4, '1 in 10⁵' 1e-5, '1 in 10⁶' 1e-6, '1 in 10⁷' 1e-7, '1 in 10⁸' 1e-8, '1 in 10⁹' 1e-9) font small
eval set_time_tics
set xtics font small
set xrange [least:most * 1.2]
set grid xtics noytics
bottom = 56 + 20 * legend_rows
do for [half = 0:1] {
	left = half ? width / 2 + 38 : 78
	right = half ? width - 44 : width / 2 - 6
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(92)
	set bmargin at screen py(bottom)
	if (half) { set format y ''; set ytics ('' 1, '' 0.1, '' 0.01, '' 1e-3, '' 1e-4, '' 1e-5, '' 1e-6, '' 1e-7) }
	set label 1 (half ? 'free' : 'alloc') at screen px(left),1 - py(79) left textcolor rgb ink
	set arrow 1 from graph 0,first 0.5 to graph 1,first 0.5 nohead linestyle 100 back
	set arrow 2 from graph 0,first 0.01 to graph 1,first 0.01 nohead linestyle 100 back
	set arrow 3 from graph 0,first 0.001 to graph 1,first 0.001 nohead linestyle 100 back
	set label 2 'p50' at graph 1.01,first 0.5 left font small textcolor rgb grey
	set label 3 'p99' at graph 1.01,first 0.01 left font small textcolor rgb grey
	set label 4 'p99.9' at graph 1.01,first 0.001 left font small textcolor rgb grey
	if (half == 0) { set label 5 panel_missing[1] at graph 0.02,0.05 left font small textcolor rgb alarm }
	plot for [k = 1:legends] data index 2 * (legend[k] - 1) + half using 1:2 with lines \
			linetype 101 + series_dash[legend[k]] linecolor rgb series_rgb[legend[k]] linewidth 1.8, \
		for [k = 1:legends] data index 2 * (legend[k] - 1) + half using ($3 == 1 ? $1 : 1/0):2 with points \
			linecolor rgb series_rgb[legend[k]] pointtype series_point[legend[k]] pointsize 0.7
	load legend_end_script
}
unset multiplot
