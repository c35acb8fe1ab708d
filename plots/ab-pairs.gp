# Every pair in the order in which it was measured, a panel a cell: B, the control and the slowed A, each against A.
# data: a block a panel: pair, B, control, slowed, and where beyond the edge (0 or the sign) for each; in per cent
heading = 'Every pair in its order: level clouds are a calm machine; steps and slopes are the machine, not B'
subheading = 'change against A of the same round; right of the line: the confirming batch; triangles lie beyond the edge'
set multiplot
load heading_script
b_rgb = '#0072b2'; control_rgb = '#767676'; slowed_rgb = '#d55e00'
panel_height = 214
set ytics font small
set xtics font small
set format y '%+g %%'
set style fill solid 1 noborder
set border 3 linecolor rgb grey linewidth 0.8
do for [p = 1:panels] {
	top = 74 + (p - 1) * panel_height + 26
	set lmargin at screen px(66)
	set rmargin at screen px(width - 190)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 66)
	set xrange [0:panel_pairs[p] + 1]
	set yrange [panel_low[p]:panel_high[p]]
	set ytics tic_step(panel_high[p] - panel_low[p])
	set xtics tic_step(panel_pairs[p])
	set xlabel 'pair' font small offset 0,0.5 textcolor rgb grey
	unset arrow
	unset label
	if (p == 1) { load heading_script }
	set label 1 panel_title[p] at screen px(14),1 - py(top - 13) left textcolor rgb ink
	set label 2 '● B ' . panel_b[p] at screen px(width - 180),1 - py(top + 14) left font small textcolor rgb b_rgb
	set label 3 '○ A again ' . panel_control[p] at screen px(width - 180),1 - py(top + 36) left font small textcolor rgb control_rgb
	set label 4 (panel_slowed[p] eq '' ? '' : '▲ A slowed ' . panel_slowed[p]) \
		at screen px(width - 180),1 - py(top + 58) left font small textcolor rgb slowed_rgb
	set label 5 panel_verdict[p] at screen px(width - 180),1 - py(top + 88) left font small textcolor rgb panel_rgb[p]
	set arrow 1 from 0,0 to panel_pairs[p] + 1,0 nohead linecolor rgb ink linewidth 0.8 front
	if (panel_search[p] < panel_pairs[p]) {
		set arrow 2 from panel_search[p] + 0.5,graph 0 to panel_search[p] + 0.5,graph 1 nohead linestyle 100 front
	}
	threshold = panel_threshold[p]
	up = panel_high[p] - 0.04 * (panel_high[p] - panel_low[p])
	down = panel_low[p] + 0.04 * (panel_high[p] - panel_low[p])
	set object 1 rectangle from 0,-threshold to panel_pairs[p] + 1,threshold \
		fillcolor rgb '#ececec' fillstyle solid 1 noborder behind
	plot panel_line[p] with lines linecolor rgb b_rgb linewidth 1.6, \
		data index p - 1 using 1:($7 == 0 ? $4 : NaN) with points pointtype 9 pointsize 0.7 linecolor rgb slowed_rgb, \
		'' index p - 1 using 1:($6 == 0 ? $3 : NaN) with points pointtype 6 pointsize 0.7 linecolor rgb control_rgb, \
		'' index p - 1 using 1:($5 == 0 ? $2 : NaN) with points pointtype 7 pointsize 0.8 linecolor rgb b_rgb, \
		'' index p - 1 using 1:($7 > 0 ? up : $7 < 0 ? down : NaN):(($7 > 0) ? '△' : '▽') \
			with labels font small textcolor rgb slowed_rgb, \
		'' index p - 1 using 1:($6 > 0 ? up : $6 < 0 ? down : NaN):(($6 > 0) ? '△' : '▽') \
			with labels font small textcolor rgb control_rgb, \
		'' index p - 1 using 1:($5 > 0 ? up : $5 < 0 ? down : NaN):(($5 > 0) ? '△' : '▽') \
			with labels font small textcolor rgb b_rgb
}
unset multiplot
