# What the colours of the pictures of the heap mean. Load it before the first panel.
# the legend, in two rows at the bottom
look_x = 20
look_row = 0
do for [i = 1:looks] {
	if (strlen(look_name[i])) {
		if (look_x + 26 + 7 * strlen(look_name[i]) > width - 10) { look_x = 20; look_row = look_row + 1 }
		set object i rectangle from screen px(look_x),py(34 - 20 * look_row) to screen px(look_x + 12),py(46 - 20 * look_row) \
			fillcolor rgb look_rgb[i] fillstyle solid border linecolor rgb faint
		set label 1300 + i look_name[i] at screen px(look_x + 17),py(40 - 20 * look_row) left font small textcolor rgb ink
		look_x = look_x + 34 + 6.8 * strlen(look_name[i])
	}
}
