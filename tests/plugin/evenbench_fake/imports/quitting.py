"""Ends the interpreter."""

import sys

sys.exit("the licence of this framework is over")
