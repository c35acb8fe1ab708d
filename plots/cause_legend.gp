# The causes of waste, a square each, in a row at the bottom. Load it before the first panel.
do for [c = 1:causes] {
	set object c rectangle from screen px(20 + (c - 1) * 160),py(14) to screen px(32 + (c - 1) * 160),py(26) \
		fillcolor rgb cause_rgb[c] fillstyle solid noborder
	set label 1300 + c cause_name[c] at screen px(38 + (c - 1) * 160),py(20) left font small textcolor rgb ink
}
