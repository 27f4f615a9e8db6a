"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PLUGIN = TESTS / "plugin"
STORED_RUNS = TESTS / "support" / "runs"
