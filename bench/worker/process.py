"""Operating system calls of a worker: its CPUs, memory and age, and ending with its parent."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Optional

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, on Linux.

    A worker would otherwise continue when the runner is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def bind_to(cpus: tuple[int, ...]) -> None:
    """Bind this process to CPUs, where the system supports it.

    This is the only setting that every thread of every framework obeys. Threads that exist are
    bound one by one; new threads inherit the setting.

    Args:
        cpus: numbers of the CPUs; empty changes nothing.
    """
    if cpus and hasattr(os, "sched_setaffinity"):
        for thread in _threads():
            with suppress(ProcessLookupError):  # the thread has ended
                os.sched_setaffinity(thread, cpus)


def _threads() -> list[int]:
    """Return the thread ids of this process, or 0, the calling thread, if they are unknown."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def resident_memory() -> Optional[int]:
    """Return the resident memory of this process in bytes; None if it is unknown."""
    return _status_field("VmRSS:")


def peak_memory() -> Optional[int]:
    """Return the highest resident memory of this process so far, in bytes."""
    peak = _status_field("VmHWM:")
    if peak is not None:
        return peak
    # On Linux, this value survives exec, so it may be the peak of the process that started this
    # one. It is used only on systems without /proc.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def age() -> Optional[float]:
    """Return the seconds since this process was started; None if they are unknown.

    The resolution is one clock tick of the kernel, usually 10 ms.
    """
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as stat:
            # Field 22 is the start in clock ticks since the machine was started. Field 2, the
            # program's name in parentheses, may contain spaces, so fields are counted after it.
            ticks = int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _status_field(name: str) -> Optional[int]:
    """Read a field of /proc/self/status, which is in KiB, and return it in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
