"""Examines what else the machine does, and how much of it this process may use."""

import os
import time
from pathlib import Path

import psutil

from bench.cli.doctor.finding import UNKNOWN, Finding, words
from bench.machine.hardware import usable_cpus
from bench.worker.usage import read_usage, usage_since

_ROOT = Path("/")
_GROUPS = Path("sys/fs/cgroup")
_UNLIMITED = 2**60  # bytes: version 1 of the control groups writes such a number for no limit
_MOST_LOAD = 0.2  # of the CPUs
_MOST_SHARE = 0.02  # of the CPUs' time
_WATCHED_SECONDS = 1.0


def load() -> Finding:
    """Return how many processes ran or waited for a CPU in the last minute."""
    if not hasattr(os, "getloadavg"):
        return Finding("load", UNKNOWN)
    average, cpus = os.getloadavg()[0], len(usable_cpus())
    advice = "something else ran in the last minute: wait until it has ended"
    value = f"{average:.2f} on {cpus} CPUs"
    return Finding("load", value, advice if average > _MOST_LOAD * cpus else "")


def cpu_time() -> list[Finding]:
    """Measure for a second who uses the CPUs: other processes, and other machines of the host."""
    before = read_usage()
    time.sleep(_WATCHED_SECONDS)
    usage = usage_since(before)
    capacity = usage.wall_seconds * len(usable_cpus())
    return [
        _share("other processes", usage.other_seconds, capacity, "end them, or wait for their end"),
        _share(
            "stolen CPU time",
            usage.steal_seconds,
            capacity,
            "the host gives its CPUs to other machines: repeat more, or use a dedicated one",
        ),
    ]


def _share(name: str, seconds: float | None, capacity: float, advice: str) -> Finding:
    if seconds is None:
        return Finding(name, UNKNOWN)
    share = seconds / capacity
    return Finding(name, f"{share:.1%} of the CPUs", advice if share > _MOST_SHARE else "")


def swap() -> Finding:
    """Return how much memory is swapped to disk."""
    try:
        used = psutil.swap_memory().used
    except (OSError, RuntimeError):
        return Finding("swap in use", UNKNOWN)
    advice = "swapped memory may be read back during a measurement: swapoff -a"
    return Finding("swap in use", f"{used / 2**20:,.0f} MiB", advice if used else "")


def cpu_limit(root: Path = _ROOT) -> Finding:
    """Return the control group's limit of CPU time; once it is used, all threads are stopped."""
    name = "CPU limit of the control group"
    text = (words(root / _GROUPS / "cpu.max") or _version_1(root)).split()
    if len(text) != 2:
        return Finding(name, UNKNOWN)
    if text[0] in ("max", "-1"):
        return Finding(name, "none")
    cpus = int(text[0]) / int(text[1])
    advice = f"use no more threads: --threads {max(1, int(cpus))}"
    return Finding(name, f"{cpus:g} CPUs", advice if cpus < len(usable_cpus()) else "")


def _version_1(root: Path) -> str:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    return " ".join(filter(None, (words(root / _GROUPS / "cpu" / name) for name in names)))


def memory_limit(root: Path = _ROOT) -> Finding:
    """Return the control group's limit of memory."""
    name = "memory limit of the control group"
    paths = ("memory.max", "memory/memory.limit_in_bytes")
    text = next(filter(None, (words(root / _GROUPS / path) for path in paths)), None)
    if text is None:
        return Finding(name, UNKNOWN)
    if text == "max" or int(text) > _UNLIMITED:
        return Finding(name, "none")
    return Finding(name, f"{int(text) / 2**30:,.1f} GiB")
