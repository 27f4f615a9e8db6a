"""The command line with a separate cache folder per test."""

import pytest
from support.command_line import CommandLine


@pytest.fixture
def bench(tmp_path):
    return CommandLine(tmp_path, tmp_path / "cache")
