# A panel a backend: its memory in order of address, a cell a pixel or a square of two.
# data: column, row, red, green, blue; a block a panel.
heading = sprintf('The heap under %s: the less pale and pink, the denser', workload)
subheading = sprintf('memory in order of address, a cell is %s, the same for all: area is memory; at %.3g million events, before the drain; leanest first', cell_text, event)
set multiplot
load heap_looks_script
load heading_script
unset tics
set border 0
unset grid
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = 14 + column * (cell_columns * pixel + 22)
	top = 66 + row * panel_height + 24
	s = panel_series[p]
	set lmargin at screen px(left)
	set rmargin at screen px(left + cell_columns * pixel)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + cell_rows * pixel)
	set xrange [-0.5:cell_columns - 0.5]
	set yrange [cell_rows - 0.5:-0.5]
	set label 1 series_name[s] at screen px(left + 13),1 - py(top - 11) left textcolor rgb ink
	set label 6 '' at screen px(left + 4),1 - py(top - 11) point pointtype 5 pointsize 1.1 linecolor rgb series_rgb[s]
	set label 3 panel_missing[p] at graph 0.5,0.9 center front textcolor rgb alarm
	set label 2 (strlen(panel_missing[p]) ? '' : sprintf('%.1f MiB', panel_mib[p])) at screen px(left + cell_columns * pixel),1 - py(top - 11) right font small textcolor rgb grey
	plot data index p - 1 using 1:2:3:4:5 with rgbimage
	load legend_end_script
	unset object
}
unset multiplot
