"""`python -m bench`: the command line."""

import sys

try:
    from bench.cli import main

    status = main()
except KeyboardInterrupt:  # within the first moments, before the command line takes it
    status = 130
sys.exit(status)
