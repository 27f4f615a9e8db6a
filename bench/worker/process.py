"""What a worker asks of the operating system: its CPUs, its memory, and to end with its parent."""

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
    """Have the kernel kill this process when its parent ends, so that no worker is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def bind_to(cpus: tuple[int, ...]) -> None:
    """Bind this process to the CPUs: the one setting that reaches every framework's threads.

    Threads that run already are bound too, each by itself; those that come inherit it.
    """
    if cpus and hasattr(os, "sched_setaffinity"):
        for thread in _threads():
            with suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(thread, cpus)


def _threads() -> list[int]:
    """The threads of this process; 0, the one that asks, where the system does not tell."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def resident_memory() -> Optional[int]:
    """Bytes of memory that this process holds now; None where the system does not tell."""
    return _status_field("VmRSS:")


def peak_memory() -> Optional[int]:
    """The kernel's high-water mark of this process's resident memory, in bytes.

    Not `ru_maxrss` where there is a choice: on Linux it survives exec and would start at the
    size of the process that started this one.
    """
    peak = _status_field("VmHWM:")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def age() -> Optional[float]:
    """Seconds since this process was started; None where the system does not tell.

    The kernel keeps the start in clock ticks, hundredths of a second, since the machine's own.
    """
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as stat:
            # The name, in brackets, may hold spaces; the start is the 22nd field.
            ticks = int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _status_field(name: str) -> Optional[int]:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
