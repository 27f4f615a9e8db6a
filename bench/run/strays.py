"""What a worker's processes leave for the runner to find: the threads that hang, and strays."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_PATIENCE = 50  # hundredths of a second
_EXECUTABLE = 2  # the place of x in `r-xp`


def kill_strays(scratch: Path) -> None:
    """Kill every process that was started with this scratch folder, in whatever session it is.

    The name of the folder is the trial's own, and what a worker starts inherits it in TMPDIR.
    """
    marker = f"TMPDIR={scratch}".encode()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)


def where_threads_are(pid: int) -> str:
    """The library and offset at which each thread of a stopped process stands, a line each.

    Read from /proc of a stopped process: it needs no debugger. Empty where the system does not
    tell.
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
    """Where the thread stands; a thread takes a moment to stop.

    Raises:
        ValueError: it has not stopped.
    """
    for _ in range(_PATIENCE):
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
    """Start, end, offset in the file, and name of each executable mapping."""
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
