# Stacked bars: committed bytes that are no caller's, by cause, in percent of live bytes, the leanest on top.
# data: rank, series, then a percentage a cause; a block a panel.
heading = 'Where the memory goes: shorter is leaner'
subheading = 'bytes that are no caller''s, in percent of the live bytes, at the peak of live; native designs'
panel_height = 78 + 26 * rows
cell_width = (width - 20) / columns
set multiplot
load heading_script
load cause_legend_script
set grid xtics noytics
set ytics scale 0 font small
set xtics font small
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	left = 10 + column * cell_width + name_width
	right = 10 + (column + 1) * cell_width - 24
	top = 70 + row * panel_height + 24
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + 26 * (panel_rows[p] > 0 ? panel_rows[p] : 1))
	set yrange [(panel_rows[p] > 0 ? panel_rows[p] : 1) + 0.6:0.4]
	set xrange [0:*]
	set format x '%g %%'
	set label 1 panel_name[p] at screen px(14 + column * cell_width),1 - py(top - 13) left textcolor rgb ink
	if (panel_rows[p] == 0) { set label 2 'not measured' at graph 0.5,0.5 center textcolor rgb alarm; set xrange [0:1] }
	plot for [c = 1:causes] data index p - 1 \
		using (0):1:(c == 1 ? 0 : sum [i = 1:c - 1] column(2 + i)):(sum [i = 1:c] column(2 + i)):($1 - 0.34):($1 + 0.34):ytic(series_name[int($2)]) \
		with boxxyerror fillcolor rgb cause_rgb[c] fillstyle solid noborder
	load legend_end_script
	unset object
}
unset multiplot
