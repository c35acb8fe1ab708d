# B against A: a row a cell and series, the interval on the threshold's band, coloured by the verdict.
# data: row, change, low, high, threshold down, threshold up, colour, gating; in per cent. What lies beyond the axis is an
# arrow at its edge: row_edge is -1 or 1 there.
heading = heading_text
subheading = 'change of B against A with its interval; grey: what is too small to matter here; open marks do not gate'
set multiplot
load heading_script
left = name_width
right = width - 330
set lmargin at screen px(left)
set rmargin at screen px(right)
set tmargin at screen 1 - py(70)
set bmargin at screen py(58)
set xrange [-limit:limit]
set yrange [rows + 0.6:0.4]
step = tic_step(2 * limit)
set xtics step font small
set format x '%+g %%'
set xlabel 'less or faster  ←  B against A  →  more or slower' font small offset 0,0.3 textcolor rgb grey
unset ytics
set border 1 linecolor rgb grey linewidth 0.8
set grid xtics noytics
do for [r = 1:rows] {
	set label 2000 + r row_name[r] at screen px(row_head[r] ? 14 : 28),first r left font small textcolor rgb (row_head[r] ? ink : grey)
	if (row_edge[r] != 0) {
		arrow = row_edge[r] > 0 ? '►' : '◄'
		edge = row_edge[r] > 0 ? 0.98 : 0.02
		set label 6000 + r arrow at graph edge,first r center textcolor rgb row_rgb[r] front
	}
	set label 4000 + r row_text[r] at screen px(right + 16),first r left font small textcolor rgb row_rgb[r]
}
set arrow 1 from 0,graph 0 to 0,graph 1 nohead linecolor rgb ink linewidth 1 front
set style fill solid 1 noborder
plot data using (0):1:5:6:($1 - 0.42):($1 + 0.42) with boxxyerror linecolor rgb '#e6e6e6', \
	'' using 2:1:3:4:7 with xerrorbars pointtype -1 linewidth 2.4 linecolor rgb variable, \
	'' using 2:1:7 with points pointtype 7 pointsize 1.1 linecolor rgb variable, \
	'' using ($8 == 0 ? $2 : 2 * limit):1 with points pointtype 7 pointsize 0.6 linecolor rgb '#ffffff'
unset multiplot
