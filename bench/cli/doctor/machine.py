"""Examines this machine: processor, kernel, load, limits of memory and CPU time, NVIDIA GPUs."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pynvml

from bench.machine.hardware import usable_cpus
from bench.worker.usage import read_usage, usage_since

UNKNOWN = "unknown"
_ROOT = Path("/")
_CPUS = Path("sys/devices/system/cpu")
_GROUPS = Path("sys/fs/cgroup")
_UNLIMITED = 2**60  # bytes: version 1 of the control groups writes such a number for no limit
_MOST_LOAD = 0.2  # of the CPUs
_MOST_SHARE = 0.02  # of the CPUs' time
_WATCHED_SECONDS = 1.0
_COARSE_TIMER_SECONDS = 1e-5
_HOT_CELSIUS = 80


class Finding(NamedTuple):
    """A setting of the machine.

    Attributes:
        name: of the setting.
        value: its value; `unknown` if the system does not report it.
        advice: what to do; empty if nothing has to be done.
    """

    name: str
    value: str
    advice: str = ""


def machine_findings() -> list[Finding]:
    """Examine every setting of the machine."""
    return [
        governor(),
        turbo(),
        core_threads(),
        huge_pages(),
        timer(),
        load(),
        *cpu_time(),
        swap(),
        cpu_limit(),
        memory_limit(),
        *gpus(),
    ]


def governor(root: Path = _ROOT) -> Finding:
    """Return how the kernel chooses the clock of each CPU."""
    paths = sorted((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = sorted({text for path in paths if (text := _words(path))})
    if not governors:
        return Finding("CPU governor", UNKNOWN)
    advice = "set it to performance: cpupower frequency-set -g performance"
    return Finding(
        "CPU governor", ", ".join(governors), "" if governors == ["performance"] else advice
    )


def turbo(root: Path = _ROOT) -> Finding:
    """Return whether a CPU may run above its base clock for some time."""
    intel = _words(root / _CPUS / "intel_pstate/no_turbo")
    others = _words(root / _CPUS / "cpufreq/boost")
    if intel is None and others is None:
        return Finding("turbo", UNKNOWN)
    is_on = intel == "0" if intel is not None else others == "1"
    advice = "the clock falls when the machine gets warm: turn it off for stable numbers"
    return Finding("turbo", "on" if is_on else "off", advice if is_on else "")


def core_threads(root: Path = _ROOT) -> Finding:
    """Return whether two logical CPUs share a core."""
    active = _words(root / _CPUS / "smt/active")
    if active is None:
        return Finding("threads of a core", UNKNOWN)
    if active == "0":
        return Finding("threads of a core", "one")
    advice = "two CPUs that share a core count as two here: compare with --threads of half as many"
    return Finding("threads of a core", "two or more", advice)


def huge_pages(root: Path = _ROOT) -> Finding:
    """Return whether the kernel uses large pages by itself; it affects every framework alike."""
    text = _words(root / "sys/kernel/mm/transparent_hugepage/enabled")
    chosen = [word.strip("[]") for word in (text or "").split() if word.startswith("[")]
    return Finding("transparent huge pages", chosen[0] if chosen else UNKNOWN)


def timer() -> Finding:
    """Return the resolution of the clock that is used for all times."""
    resolution = time.get_clock_info("perf_counter").resolution
    steps = [_tick() for _ in range(100)]
    seen = max(resolution, min(steps))
    advice = "the resolution is coarse for steps of a fast model: time many at once, as trials do"
    value = f"{seen * 1e9:,.0f} ns"
    return Finding("timer resolution", value, advice if seen > _COARSE_TIMER_SECONDS else "")


def _tick() -> float:
    start = now = time.perf_counter()
    while now == start:
        now = time.perf_counter()
    return now - start


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
    text = (_words(root / _GROUPS / "cpu.max") or _version_1(root)).split()
    if len(text) != 2:
        return Finding(name, UNKNOWN)
    if text[0] in ("max", "-1"):
        return Finding(name, "none")
    cpus = int(text[0]) / int(text[1])
    advice = f"use no more threads: --threads {max(1, int(cpus))}"
    return Finding(name, f"{cpus:g} CPUs", advice if cpus < len(usable_cpus()) else "")


def _version_1(root: Path) -> str:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    return " ".join(filter(None, (_words(root / _GROUPS / "cpu" / name) for name in names)))


def memory_limit(root: Path = _ROOT) -> Finding:
    """Return the control group's limit of memory."""
    name = "memory limit of the control group"
    paths = ("memory.max", "memory/memory.limit_in_bytes")
    text = next(filter(None, (_words(root / _GROUPS / path) for path in paths)), None)
    if text is None:
        return Finding(name, UNKNOWN)
    if text == "max" or int(text) > _UNLIMITED:
        return Finding(name, "none")
    return Finding(name, f"{int(text) / 2**30:,.1f} GiB")


def _words(path: Path) -> str | None:
    """Return the file's text on one line; None if it cannot be read."""
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or None
    except OSError:
        return None


def gpus() -> list[Finding]:
    """Examine each GPU; without a driver there is one finding."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return [Finding("NVIDIA GPUs", "no driver")]
    try:
        per_gpu = [_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()
    return [finding for findings in per_gpu for finding in findings]


def _gpu(index: int) -> list[Finding]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return [
        processes(index, _query(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)),
        temperature(
            index, _query(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
        ),
        clocks(
            index,
            _query(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            _query(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        ),
    ]


def processes(index: int, running: list[Any] | None) -> Finding:
    """Return the number of processes that compute on the GPU."""
    name = f"processes on gpu:{index}"
    if running is None:
        return Finding(name, UNKNOWN)
    return Finding(name, str(len(running)), "end them, or choose another GPU" if running else "")


def temperature(index: int, celsius: int | None) -> Finding:
    """Return the temperature of the GPU: a hot one lowers its clock."""
    name = f"temperature of gpu:{index}"
    if celsius is None:
        return Finding(name, UNKNOWN)
    advice = "let it cool down" if celsius >= _HOT_CELSIUS else ""
    return Finding(name, f"{celsius} degrees Celsius", advice)


def clocks(index: int, now: int | None, most: int | None) -> Finding:
    """Return the clock of the GPU's multiprocessors; it is low while nothing runs."""
    name = f"clock of gpu:{index}"
    if now is None or most is None:
        return Finding(name, UNKNOWN)
    return Finding(name, f"{now} of at most {most} MHz")


def _query(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the driver's answer; None if the GPU does not support the question."""
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None
