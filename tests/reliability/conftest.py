"""The command line with a separate cache folder per test, and tests that share a run."""

import pytest
from support.command_line import CommandLine

SHARED_RUN = "test_faults.py"


@pytest.fixture
def bench(tmp_path):
    return CommandLine(tmp_path, tmp_path / "cache")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Send the tests that share a run to one process, and all others one by one.

    `--dist loadgroup` of pytest-xdist 3.8 would need node ids that pytest 9.2 no longer changes.
    """
    from xdist.scheduler import LoadScopeScheduling

    class SharedRunScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if file.endswith(SHARED_RUN) else nodeid

    return SharedRunScheduling(config, log)
