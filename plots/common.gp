# What all figures share: paper, fonts, line widths, dashes, the legend's geometry. figures.c sets before:
#   format ('svg' or 'png'), picture (the file to write), data (the numbers), width, height (pixels),
#   and the arrays that its prepare function names.
# Text is never "enhanced": a name with an underscore or a brace is shown as it is.
set encoding utf8
if (format eq 'svg') {
	set terminal svg size width,height dynamic noenhanced font 'sans-serif,14' linewidth 1 background '#ffffff'
} else {
	set terminal pngcairo size 2 * width,2 * height noenhanced font 'DejaVu Sans,10' fontscale 1.9 \
		linewidth 2 pointscale 2 background '#ffffff'
}
set output picture

ink = '#222222'; grey = '#767676'; faint = '#dddddd'; alarm = '#b00020'
# pixels to fractions of the picture, so that layouts are written in pixels
px(x) = x / real(width)
py(y) = y / real(height)
small = format eq 'svg' ? ',12' : ',8.5'
large = format eq 'svg' ? ',17' : ',12'

set border 3 linecolor rgb grey linewidth 0.8
set tics nomirror out scale 0.4 textcolor rgb ink
set grid linecolor rgb faint linewidth 0.7 linetype 1
unset key
set style line 100 linecolor rgb grey linewidth 1 dashtype (6,4)

# palette.c's dash numbers, from line type 101: solid, dashed, dotted, dash-dot, long dashes
set linetype 101 dashtype solid
set linetype 102 dashtype (9,5)
set linetype 103 dashtype (2,4)
set linetype 104 dashtype (10,4,2,4)
set linetype 105 dashtype (16,6)

# a round step that makes about five tics
tic_power(x) = 10 ** floor(log10(x / 5.0))
tic_step(x) = x / tic_power(x) > 37 ? 10 * tic_power(x) : x / tic_power(x) > 17 ? 5 * tic_power(x) : \
	x / tic_power(x) > 8 ? 2 * tic_power(x) : tic_power(x)

# times on a log axis, in words
set_time_tics = "set xtics ('1 ns' 1, '10 ns' 10, '100 ns' 100, '1 µs' 1e3, '10 µs' 1e4, '100 µs' 1e5, '1 ms' 1e6, '10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9)"
