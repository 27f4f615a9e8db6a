"""What is measured and how: spec, models, data, plan, worker, runner, records, command line."""

from bench.version import __version__

__all__ = ["__version__"]
