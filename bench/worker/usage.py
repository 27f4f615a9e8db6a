"""Who used the CPUs for a while: this process, others, or other machines on the same host.

Linux tells through /proc and the control group's files; what it does not tell is None.
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
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # of a CPU's line there: user, nice, system, irq, softirq
_STEAL_FIELD = 7
# Where version 2 of the control groups, and version 1, tell of the CPU limit, and in which unit.
_THROTTLING = (
    (Path("/sys/fs/cgroup/cpu.stat"), r"throttled_usec (\d+)", 1e-6),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), r"throttled_time (\d+)", 1e-9),
)


class Usage(msgspec.Struct, frozen=True):
    """Who used this process's CPUs for a while. Seconds; None where the system does not tell.

    Attributes:
        wall_seconds: how long it was.
        cpu_seconds: CPU time of this process, all its threads.
        involuntary_switches: how often the kernel took a CPU from one of its threads.
        other_seconds: CPU time of all other processes.
        steal_seconds: time in which the hypervisor gave the CPUs to other machines.
        throttled_seconds: time in which a control group's CPU limit held this process up.
    """

    wall_seconds: float
    cpu_seconds: float
    involuntary_switches: int
    other_seconds: Optional[float] = None
    steal_seconds: Optional[float] = None
    throttled_seconds: Optional[float] = None


class Reading(NamedTuple):
    """Totals since some beginning: two of them tell the usage between."""

    wall: float
    cpu: float
    switches: int
    busy: Optional[float]
    steal: Optional[float]
    throttled: Optional[float]


def read_usage() -> Reading:
    """The totals now; takes about a tenth of a millisecond, so keep it off a clock."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    busy, steal = _cpu_times()
    cpu = own.ru_utime + own.ru_stime
    return Reading(perf_counter(), cpu, own.ru_nivcsw, busy, steal, _throttled())


def usage_since(before: Reading) -> Usage:
    """The usage since a reading.

    The kernel counts a CPU's time in ticks, mostly of 10 ms, and a process's own exactly: over
    some tens of milliseconds `other_seconds` is rounding and little else.
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
    """The sum; None of nothing, or where a part is missing, and so for each of its fields."""
    known = list(parts)
    if not known or None in known:
        return None
    columns = {name: [getattr(part, name) for part in known] for name in Usage.__struct_fields__}
    summed = {name: None if None in values else sum(values) for name, values in columns.items()}
    return msgspec.convert(summed, Usage)


def _difference(now: Optional[float], before: Optional[float]) -> Optional[float]:
    return None if now is None or before is None else now - before


def _cpu_times() -> tuple[Optional[float], Optional[float]]:
    """Busy and stolen seconds of the CPUs that this process may use, together."""
    try:
        lines = _PROC_STAT.read_text(encoding="ascii").splitlines()
        own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not Linux
        return None, None
    mine = [line for line in lines if line.partition(" ")[0] in own]
    fields = [[int(value) for value in line.split()[1:]] for line in mine]
    if not fields:
        return None, None
    busy = sum(values[field] for values in fields for field in _BUSY_FIELDS)
    steal = sum(values[_STEAL_FIELD] for values in fields)
    return busy / ticks, steal / ticks


def _throttled() -> Optional[float]:
    for path, pattern, unit in _THROTTLING:
        try:
            match = re.search(pattern, path.read_text(encoding="ascii"))
        except OSError:
            continue
        if match:
            return int(match.group(1)) * unit
    return None
