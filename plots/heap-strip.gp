# A row a backend, a picture a checkpoint, as in heap-map.
# data: column, row, red, green, blue; a block a picture, row after row.
heading = sprintf('The heap over the trace, under %s', workload)
subheading = sprintf('from the ramp to the drain; a cell is %s, the same for all: area is memory; million events so far above each column', cell_text)
set multiplot
load heap_looks_script
load heading_script
unset tics
set border 0
unset grid
do for [p = 1:panels] {
	do for [c = 1:columns] {
		left = 134 + (c - 1) * (cell_columns + 12)
		top = 78 + (p - 1) * (cell_rows + 12)
		s = panel_series[p]
		set lmargin at screen px(left)
		set rmargin at screen px(left + cell_columns)
		set tmargin at screen 1 - py(top)
		set bmargin at screen 1 - py(top + cell_rows)
		set xrange [-0.5:cell_columns - 0.5]
		set yrange [cell_rows - 0.5:-0.5]
		if (c == 1) {
			set label 1 (strlen(series_name[s]) > 14 ? series_name[s][1:13] . '…' : series_name[s]) at screen px(28),1 - py(top + 8) left textcolor rgb ink
			set label 6 '' at screen px(18),1 - py(top + 8) point pointtype 5 pointsize 1.1 linecolor rgb series_rgb[s]
		}
		if (c == 1) { set label 3 panel_missing[p] at graph 0.5,0.5 center front textcolor rgb alarm }
		if (p == 1) { set label 2 sprintf('%.3g', column_event[c]) at screen px(left),1 - py(top - 8) left font small textcolor rgb grey }
		set object 100 rectangle from graph 0,0 to graph 1,1 behind fillcolor rgb '#fafafa' fillstyle solid noborder
		plot data index (p - 1) * columns + c - 1 using 1:2:3:4:5 with rgbimage
		load legend_end_script
		unset object
	}
}
unset multiplot
