"""Medians and ratios with intervals, rankings, change points, and the number of repeats needed.

The statistical unit is the trial, which runs in its own process. All functions are pure and take
numbers, not records. docs/statistics.md contains the formulas, their sources and simulations of how
often the results are right.
"""

SIGNIFICANCE = 0.05  # how often, at most, a difference is claimed although there is none
