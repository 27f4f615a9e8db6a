"""What trials can tell: medians and ratios with intervals, who was faster, how many repeats.

The unit is the trial, a process of its own. Pure functions of numbers: no records, no printing.
docs/statistics.md has the formulas with their sources, and how often they are right.
"""
