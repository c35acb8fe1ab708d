# The legend below the panels: the series legend[1..legends], each its line and its mark, in columns of
# equal width. Sets legend_rows. Draws with labels and arrows of the first panel: load it before that.
legend_longest = 0
do for [i = 1:legends] {
	legend_longest = strlen(series_name[legend[i]]) > legend_longest ? strlen(series_name[legend[i]]) : legend_longest
}
legend_step = 62 + 7.6 * legend_longest
legend_columns = int((width - 28) / legend_step)
legend_columns = legend_columns < 1 ? 1 : legend_columns > legends ? legends : legend_columns
legend_rows = (legends + legend_columns - 1) / legend_columns
do for [i = 1:legends] {
	s = legend[i]
	legend_x = 18 + legend_step * ((i - 1) % legend_columns)
	legend_y = 14 + 20 * (legend_rows - 1 - (i - 1) / legend_columns)
	set arrow 1000 + i from screen px(legend_x),py(legend_y) to screen px(legend_x + 34),py(legend_y) nohead \
		linetype 101 + series_dash[s] linewidth 2 linecolor rgb series_rgb[s]
	set label 1100 + i series_name[s] at screen px(legend_x + 42),py(legend_y) left font small textcolor rgb ink
	set label 1200 + i '' at screen px(legend_x + 17),py(legend_y) \
		point pointtype series_point[s] pointsize 1 linecolor rgb series_rgb[s]
}
