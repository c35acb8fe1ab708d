# The line on top of a figure: `heading` and, smaller, `subheading`. Inside multiplot, before the panels.
set label 1001 heading at screen px(14),1 - py(24) left font large textcolor rgb ink
set label 1002 subheading at screen px(14),1 - py(46) left font small textcolor rgb grey
