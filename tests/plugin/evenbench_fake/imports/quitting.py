"""A framework that ends the interpreter."""

import sys

sys.exit("the licence of this framework is over")
