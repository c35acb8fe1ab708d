# A cell a backend and workload, coloured by its footprint ratio, the number in it.
# data: column, row, ratio (-1: none), status; a line a cell.
heading = 'Footprint: peak resident over peak live, a pale cell is lean'
subheading = 'the leanest on the whole on top; live below 1 MiB gives no ratio'
name_columns = 0
do for [r = 1:rows] { name_columns = strlen(series_name[row_series[r]]) > name_columns ? strlen(series_name[row_series[r]]) : name_columns }
set multiplot
load heading_script
set lmargin at screen px(24 + 7.6 * name_columns)
set rmargin at screen px(width - 20)
set tmargin at screen 1 - py(94)
set bmargin at screen py(16)
set xrange [0.5:panels + 0.5]
set yrange [rows + 0.5:0.5]
unset grid
set border 0
set xtics scale 0 font small
set ytics scale 0
set format x ''
set format y ''
unset xtics
unset ytics
do for [p = 1:panels] { set label 10 + p panel_name[p] at p,graph 1.0 offset 0,0.6 center font small textcolor rgb ink }
do for [r = 1:rows] {
	set label 100 + r series_name[row_series[r]] at graph 0,first r offset -1,0 right textcolor rgb ink
}
# from white at 1 through ochre at 1.5 to dark red at 3 and beyond
excess(x) = x < 1 ? 0 : x > 3 ? 1 : log(x) / log(3)
red(e) = e < 0.37 ? 255 - 0 * e : 255 - (e - 0.37) / 0.63 * 105
green(e) = e < 0.37 ? 255 - e / 0.37 * 60 : 195 - (e - 0.37) / 0.63 * 165
blue(e) = e < 0.37 ? 255 - e / 0.37 * 145 : 110 - (e - 0.37) / 0.63 * 70
colour(x) = x >= 0 ? 65536 * int(red(excess(x))) + 256 * int(green(excess(x))) + int(blue(excess(x))) : 0xf2f2f2
plot data using 1:2:($1 - 0.48):($1 + 0.48):($2 - 0.46):($2 + 0.46):(colour($3)) with boxxyerror fillcolor rgb variable fillstyle solid noborder, \
	'' using 1:($3 >= 0 ? $2 : 1/0):(sprintf($3 < 10 ? '%.2f' : '%.1f', $3)):(excess($3) > 0.7 ? 0xffffff : 0x222222) with labels center textcolor rgb variable, \
	'' using 1:($3 >= 0 ? 1/0 : $2):(status_name[int($4) + 1]) with labels center font small textcolor rgb alarm
unset multiplot
