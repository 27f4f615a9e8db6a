"""Whole documents: a run's report, a comparison, a history, a decision, the terminal summary."""
