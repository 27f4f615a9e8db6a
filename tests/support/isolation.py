"""Keeps tests without the marker `process` from starting a process or importing a framework.

Python reports both to audit hooks, whichever function was called. A hook cannot be removed again,
so one is installed for the session and is active only while such a test runs.
"""

import contextlib
import sys
from collections.abc import Iterator

MARKER = "process"
FRAMEWORKS = frozenset(
    ("torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "mlx", "paddle", "tinygrad", "ray")
)
_STARTS = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")
)
# matplotlib finds its fonts by the first, once per machine; `platform.processor` calls the other.
_HARMLESS = frozenset(("fc-list", "uname"))


class IsolationError(BaseException):
    """A test needs the marker `process`. No `except Exception` of the tested code may hide it."""


class _Guard:
    """The audit hook.

    Attributes:
        test: the name of the test that must not start a process; empty while it may.
    """

    def __init__(self) -> None:
        self.test = ""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if not self.test:
            return
        if event in _STARTS and not _HARMLESS.intersection(arguments[:1]):
            self._refuse(f"started a process ({event})")
        elif event == "import" and arguments[0] in FRAMEWORKS.difference(sys.modules):
            self._refuse(f"imported {arguments[0]}")

    def _refuse(self, what: str) -> None:
        test, self.test = self.test, ""  # what pytest does with the error must not be refused
        raise IsolationError(
            f"{test} {what}. Use the `scripted` executor, or mark the test: @pytest.mark.{MARKER}"
        )


_GUARD = _Guard()


@contextlib.contextmanager
def no_processes(test: str) -> Iterator[None]:
    """Make the start of a process, or the import of a framework, an error of the test."""
    _GUARD.test = test
    try:
        yield
    finally:
        _GUARD.test = ""
