# After the first panel: the legend and the heading are drawn, the others need not draw them again.
unset label
unset arrow
