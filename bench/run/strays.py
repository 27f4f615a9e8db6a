"""Finds what a worker leaves: threads that hang, and processes outside its process group."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_MOST_POLLS = 50  # 10 ms each
_EXECUTABLE = 2  # index of x in `r-xp`


def kill_strays(scratch: Path) -> None:
    """Kill every process that was started with this scratch folder, in any session.

    The folder's name is unique to the trial, and what a worker starts inherits it in TMPDIR.
    """
    marker = f"TMPDIR={scratch}".encode()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)


def where_threads_are(pid: int) -> str:
    """Return one line per thread of a stopped process: the library and offset where it is.

    /proc has them without a debugger. Empty on systems without it.
    """
    libraries = list(_libraries(pid))
    lines = []
    for task in _tasks(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            name = (task / "comm").read_text(errors="replace").strip()
            counter = _program_counter(task)
            lines.append(f"Thread {task.name} ({name}) at {_place(counter, libraries)}")
    return "\n".join(lines)


def _program_counter(task: Path) -> int:
    """Return the thread's program counter, once it has stopped.

    Raises:
        ValueError: it has not stopped.
    """
    for _ in range(_MOST_POLLS):
        last = (task / "syscall").read_text().split()[-1]
        if last != "running":
            break
        time.sleep(0.01)
    return int(last, 16)


def _tasks(pid: int) -> list[Path]:
    try:
        return sorted(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _libraries(pid: int) -> Iterator[tuple[int, int, int, str]]:
    """Yield start, end, offset in the file, and name of each executable mapping."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        span, rights, offset, _, _, *name = line.split(maxsplit=5)
        if rights[_EXECUTABLE] == "x":
            start, end = (int(number, 16) for number in span.split("-"))
            yield start, end, int(offset, 16), os.path.basename(name[0]) if name else "no file"


def _place(counter: int, libraries: list[tuple[int, int, int, str]]) -> str:
    for start, end, offset, name in libraries:
        if start <= counter < end:
            return f"{name}+{counter - start + offset:#x}"
    return f"{counter:#x}"
