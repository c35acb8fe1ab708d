# Speed against memory: a point a setting, the stepped line joins those that none beats in both.
# data: MiB, % faster, low, high, backing, 1 answer or 2 baseline, 1 on the front; then the front's MiB and %.
heading = sprintf('Page sizes under %s, speed against memory: up and to the left is better', workload)
subheading = 'y: % faster than the baseline, 95 % intervals where they matter;  x: peak resident, MiB;  stepped line: settings that no other beats in both;  ring: the answer'
array backing_rgb[3] = [0x0072b2, 0xe69f00, 0x009e73]
array backing_point[3] = [7, 5, 9]
array backing_name[3] = ['base', 'thp', 'hugetlb']
set multiplot
load heading_script
do for [b = 1:3] {
	if (!backing_shown[b]) { continue }
	set label 1100 + b backing_name[b] at screen px(40 + 90 * (b - 1)),py(16) left font small textcolor rgb ink
	set label 1200 + b '' at screen px(28 + 90 * (b - 1)),py(16) point pointtype backing_point[b] pointsize 1 linecolor rgb backing_rgb[b]
}
set lmargin at screen px(70)
set rmargin at screen px(width - 24)
set tmargin at screen 1 - py(76)
set bmargin at screen py(84)
spread = most > least ? most - least : 1
set xrange [least - 0.06 * spread:most + 0.1 * spread]
set xlabel 'peak resident, MiB' font small offset 0,0.4 textcolor rgb grey
set ylabel '% faster than the baseline' font small offset 1,0 textcolor rgb grey
set xtics font small
set ytics font small
set xzeroaxis linestyle 100
set yrange [floor_at:ceiling]
set label 3 (below ? sprintf('↓ %d more, too slow to be shown', below) : '') at graph 0.5,0.03 center font small textcolor rgb alarm
plot data index 1 using 1:2 with fsteps linecolor rgb grey linewidth 1.2 dashtype (2,4), \
	data index 0 using ($7 == 1 || $6 > 0 ? $1 : 1/0):2:3:4:(backing_rgb[int($5)]) with yerrorbars pointtype -1 linecolor rgb variable linewidth 0.7, \
	'' index 0 using 1:2:(1.3):(backing_point[int($5)]):(backing_rgb[int($5)]) with points \
		pointsize variable pointtype variable linecolor rgb variable, \
	'' index 0 using ($6 == 1 ? $1 : 1/0):2 with points pointtype 6 pointsize 3 linewidth 2 linecolor rgb '#d55e00', \
	'' index 0 using ($7 == 1 || $6 > 0 ? $1 : 1/0):2:(point_name[int($0) + 1] . ($6 == 1 ? (baseline_is_answer ? ' (answer, and the baseline)' : ' (answer)') : $6 == 2 ? ' (baseline)' : '')) \
		with labels left offset 1,0.5 font small textcolor rgb ink
unset multiplot
