"""What is measured and how: spec, models, data, plan, worker, runner, records, command line."""

__version__ = "0.1.0"
