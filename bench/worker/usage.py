"""Measure who used the CPUs: this process, other processes, or other virtual machines.

The values come from /proc and the control groups of Linux. Those that are unavailable are None.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Optional

import msgspec

_PROC_STAT = Path("/proc/stat")
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # of a CPU's line in /proc/stat: user, nice, system, irq, softirq
_STEAL_FIELD = 7
# File, pattern and unit in seconds of the throttled time, in version 2 and 1 of control groups.
_THROTTLING = (
    (Path("/sys/fs/cgroup/cpu.stat"), r"throttled_usec (\d+)", 1e-6),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), r"throttled_time (\d+)", 1e-9),
)


class Usage(msgspec.Struct, frozen=True):
    """Usage of the CPUs that this process may run on, during an interval. None means unknown.

    Attributes:
        wall_seconds: length of the interval.
        cpu_seconds: CPU time of all threads of this process.
        involuntary_switches: number of times the kernel preempted one of its threads.
        other_seconds: CPU time of all other processes on these CPUs.
        steal_seconds: time that the hypervisor gave these CPUs to other virtual machines.
        throttled_seconds: time that the CPU limit of a control group stopped this process.
    """

    wall_seconds: float
    cpu_seconds: float
    involuntary_switches: int
    other_seconds: Optional[float] = None
    steal_seconds: Optional[float] = None
    throttled_seconds: Optional[float] = None


class Reading(NamedTuple):
    """Totals since a fixed time. The difference of two readings is the usage between them.

    Attributes:
        wall: seconds of the clock.
        cpu: CPU seconds of this process.
        switches: involuntary context switches of this process.
        busy: busy seconds of the CPUs that this process may run on.
        steal: stolen seconds of the same CPUs.
        throttled: throttled seconds of the control group.
    """

    wall: float
    cpu: float
    switches: int
    busy: Optional[float]
    steal: Optional[float]
    throttled: Optional[float]


def read_usage() -> Reading:
    """Read the totals. This takes about 0.1 ms, so call it while no measurement is running."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    busy, steal = _cpu_times()
    cpu = own.ru_utime + own.ru_stime
    return Reading(perf_counter(), cpu, own.ru_nivcsw, busy, steal, _throttled())


def usage_since(before: Reading) -> Usage:
    """Compute the usage since a reading.

    The kernel counts the time of a CPU in ticks of usually 10 ms, but that of a process exactly.
    In intervals shorter than 100 ms, `other_seconds` is therefore mostly a rounding error.
    """
    now = read_usage()
    cpu = now.cpu - before.cpu
    busy = _difference(now.busy, before.busy)
    return Usage(
        wall_seconds=now.wall - before.wall,
        cpu_seconds=cpu,
        involuntary_switches=now.switches - before.switches,
        other_seconds=None if busy is None else max(0.0, busy - cpu),
        steal_seconds=_difference(now.steal, before.steal),
        throttled_seconds=_difference(now.throttled, before.throttled),
    )


def total_usage(parts: Iterable[Optional[Usage]]) -> Optional[Usage]:
    """Add up usages.

    Returns:
        The sum, in which a field is None if it is None in any part; None if there are no parts or
        if any part is None.
    """
    usages = list(parts)
    if not usages or None in usages:
        return None
    columns = {name: [getattr(usage, name) for usage in usages] for name in Usage.__struct_fields__}
    summed = {name: None if None in values else sum(values) for name, values in columns.items()}
    return msgspec.convert(summed, Usage)


def _difference(now: Optional[float], before: Optional[float]) -> Optional[float]:
    return None if now is None or before is None else now - before


def _cpu_times() -> tuple[Optional[float], Optional[float]]:
    """Read the total busy and stolen seconds of the CPUs that this process may run on."""
    try:
        lines = _PROC_STAT.read_text(encoding="ascii").splitlines()
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks_per_second = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not Linux
        return None, None
    counters = [
        [int(value) for value in values.split()]
        for name, _, values in (line.partition(" ") for line in lines)
        if name in usable
    ]
    if not counters:
        return None, None
    busy = sum(values[field] for values in counters for field in _BUSY_FIELDS)
    steal = sum(values[_STEAL_FIELD] for values in counters)
    return busy / ticks_per_second, steal / ticks_per_second


def _throttled() -> Optional[float]:
    """Read the seconds for which the CPU limit of the control group has stopped its processes."""
    for path, pattern, unit in _THROTTLING:
        try:
            match = re.search(pattern, path.read_text(encoding="ascii"))
        except OSError:
            continue
        if match:
            return int(match.group(1)) * unit
    return None
