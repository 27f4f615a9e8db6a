"""The option --evenbench, which pytest finds through the entry point `pytest11`."""

from __future__ import annotations

from typing import Any

OPTION = "--evenbench"
MUST_HAVE = "evenbench_must_have"


def pytest_addoption(parser: Any) -> None:
    """Add the option that names the backends."""
    parser.getgroup("evenbench").addoption(
        OPTION,
        default="",
        metavar="NAMES",
        help="backends for `--pyargs bench.verification.conformance`, separated by commas; all of "
        "them are imported into one process, so name only frameworks that work in one process",
    )


def pytest_configure(config: Any) -> None:
    """Register the marker of tests that no backend may skip."""
    config.addinivalue_line("markers", f"{MUST_HAVE}: every backend must support this")
