# The history of a cell: a panel a series, a mark a run, levels between change points.
# data, two blocks a panel: x, change in %, low, high, mark (0 good, 1 before an accepted change, 2 forgotten, 3 pinned,
# -1 failed); then the levels: x, change, kind (0 past, 1 the baseline, 2 worse than it, 3 neither).
blue = '#0072b2'
set multiplot
load heading_script
set xtics font small scale 0 ()
set ytics font small
set xrange [0.2:runs + 0.8]
left = 62
right = width - 20
do for [p = 1:panels] {
	top = 70 + (p - 1) * panel_height + 28
	set lmargin at screen px(left)
	set rmargin at screen px(right)
	set tmargin at screen 1 - py(top)
	set bmargin at screen 1 - py(top + panel_height - 58)
	set yrange [panel_low[p]:panel_high[p]]
	set ytics tic_step(panel_high[p] - panel_low[p])
	set format y '%+g %%'
	set xtics ('' 0)
	do for [i = 1:labels] { set xtics add (p == panels ? label_text[i] : '' label_x[i]) }
	if (p == panels) {
		set label 6 '● run   ○ forgotten   grey: before an accepted change   ◆ pinned   × failed' at screen px(14),py(12) left font small textcolor rgb grey
		set label 5 'commit of the run, oldest left' at screen px(right),py(12) right font small textcolor rgb grey
	}
	set label 1 panel_name[p] at screen px(14),1 - py(top - 13) left textcolor rgb ink
	set label 2 panel_note[p] at screen px(right),1 - py(top - 13) right font small textcolor rgb grey
	set arrow 1 from graph 0,first 0 to graph 1,first 0 nohead linewidth 0.8 linecolor rgb grey back
	do for [i = 1:accepts] {
		if (accept_panel[i] == p) {
			set arrow 100 + i from accept_x[i],graph 0 to accept_x[i],graph 1 nohead dashtype (2,4) linewidth 1.2 linecolor rgb ink back
			set label 100 + i 'accepted' at accept_x[i],graph 0.06 left offset 0.4,0 font small textcolor rgb ink
		}
	}
	drawn = 0
	do for [i = 1:changes] {
		if (change_panel[i] == p) {
			set arrow 300 + i from change_x[i],graph 0 to change_x[i],graph 1 nohead dashtype (6,4) linewidth 1.2 \
				linecolor rgb (change_bad[i] ? alarm : '#00594c') back
			# text to the side where there is room; neighbours a line apart
			if (change_x[i] > runs * 0.75) {
				set label 300 + i change_text[i] at change_x[i],graph 0.96 - 0.1 * (drawn % 2) right offset -0.4,0 font small textcolor rgb (change_bad[i] ? alarm : '#00594c')
			} else {
				set label 300 + i change_text[i] at change_x[i],graph 0.96 - 0.1 * (drawn % 2) left offset 0.4,0 font small textcolor rgb (change_bad[i] ? alarm : '#00594c')
			}
			drawn = drawn + 1
		}
	}
	plot data index 2 * p - 2 using ($5 == 0 || $5 == 3 ? $1 : 1/0):2:3:4 with yerrorbars pointtype -1 linecolor rgb '#9a9a9a' linewidth 1, \
		data index 2 * p - 1 using 1:2:($3 == 1 ? 0x0072b2 : $3 == 2 ? 0xb00020 : 0x9a9a9a) with lines linecolor rgb variable linewidth 2.4, \
		data index 2 * p - 2 using ($5 == 1 ? $1 : 1/0):2 with points pointtype 7 pointsize 0.7 linecolor rgb '#b0b0b0', \
		data index 2 * p - 2 using ($5 == 2 ? $1 : 1/0):2 with points pointtype 6 pointsize 0.9 linecolor rgb '#b0b0b0', \
		data index 2 * p - 2 using ($5 == 0 ? $1 : 1/0):2 with points pointtype 7 pointsize 0.8 linecolor rgb ink, \
		data index 2 * p - 2 using ($5 == 3 ? $1 : 1/0):2 with points pointtype 13 pointsize 1.4 linecolor rgb blue, \
		data index 2 * p - 2 using ($5 == -1 ? $1 : 1/0):(panel_low[p] + 0.16 * (panel_high[p] - panel_low[p])) with points pointtype 2 pointsize 1 linecolor rgb alarm linewidth 2
	load legend_end_script
}
unset multiplot
