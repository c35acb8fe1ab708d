# Live bytes by tag over the trace, stacked, a panel a workload with its own names.
# data: million events, MiB a tag; a block a panel.
columns = panels < 2 ? panels : 2
heading = 'Who holds the memory: live bytes by tag over the trace'
subheading = 'what callers asked for and hold; the same for all pools'
array tag_rgb[12] = [0x0072b2, 0xe69f00, 0x009e73, 0x882255, 0x56b4e9, 0xd55e00, 0x7a5fc0, 0x999933, 0xcc79a7, 0x44aa99, 0x661100, 0xb8b8b8]
set multiplot
load heading_script
rows_count = (panels + columns - 1) / columns
panel_height = (height - 80) / rows_count
set xtics font small
set ytics font small
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = column * (width / columns) + 52
	right = (column + 1) * (width / columns) - 70
	top = 62 + row * panel_height + 26
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 66)
	set xrange [0:panel_last[p]]
	set yrange [0:panel_most[p] * 1.04]
	set xtics 0,tic_step(panel_last[p]),panel_last[p]
	set label 1 panel_name[p] at screen px(left),1 - py(top - 13) left textcolor rgb ink
	set label 2 'MiB' at screen px(left - 8),1 - py(top - 13) right font small textcolor rgb grey
	set label 3 'million events' at screen px(right),1 - py(top + panel_height - 34) right font small textcolor rgb grey
	if (panel_tags[p] == 0) { set label 4 'not measured' at graph 0.5,0.5 center textcolor rgb alarm; set xrange [0:1]; set yrange [0:1] }
	do for [t = 1:panel_tags[p]] {
		set object t rectangle from screen px(right + 10),1 - py(top + 13 * (panel_tags[p] - t) + 2) to screen px(right + 19),1 - py(top + 13 * (panel_tags[p] - t) + 11) \
			fillcolor rgb tag_rgb[t] fillstyle solid noborder
		set label 10 + t tag_name[(p - 1) * tags_most + t] at screen px(right + 24),1 - py(top + 13 * (panel_tags[p] - t) + 6) left font small textcolor rgb ink
	}
	if (panel_tags[p] == 0) { plot NaN } else {
		plot for [i = 1:panel_tags[p]] data index p - 1 using 1:(sum [k = 1:panel_tags[p] - i + 1] column(1 + k)) \
			with filledcurves y1=0 linecolor rgb tag_rgb[panel_tags[p] - i + 1] fillstyle solid noborder
	}
	load legend_end_script
	unset object
}
unset multiplot
