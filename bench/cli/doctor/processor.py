"""Examines settings of the processor and the kernel: clock, turbo, SMT, pages, timer."""

import time
from pathlib import Path

from bench.cli.doctor.finding import UNKNOWN, Finding, words

_CPUS = Path("sys/devices/system/cpu")
_ROOT = Path("/")
_COARSE_TIMER_SECONDS = 1e-5


def governor(root: Path = _ROOT) -> Finding:
    """Return how the kernel chooses the clock of each CPU."""
    paths = sorted((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = sorted({text for path in paths if (text := words(path))})
    if not governors:
        return Finding("CPU governor", UNKNOWN)
    advice = "set it to performance: cpupower frequency-set -g performance"
    return Finding(
        "CPU governor", ", ".join(governors), "" if governors == ["performance"] else advice
    )


def turbo(root: Path = _ROOT) -> Finding:
    """Return whether a CPU may run above its base clock for some time."""
    intel = words(root / _CPUS / "intel_pstate/no_turbo")
    others = words(root / _CPUS / "cpufreq/boost")
    if intel is None and others is None:
        return Finding("turbo", UNKNOWN)
    is_on = intel == "0" if intel is not None else others == "1"
    advice = "the clock falls when the machine gets warm: turn it off for stable numbers"
    return Finding("turbo", "on" if is_on else "off", advice if is_on else "")


def core_threads(root: Path = _ROOT) -> Finding:
    """Return whether two logical CPUs share a core."""
    active = words(root / _CPUS / "smt/active")
    if active is None:
        return Finding("threads of a core", UNKNOWN)
    if active == "0":
        return Finding("threads of a core", "one")
    advice = "two CPUs that share a core count as two here: compare with --threads of half as many"
    return Finding("threads of a core", "two or more", advice)


def huge_pages(root: Path = _ROOT) -> Finding:
    """Return whether the kernel uses large pages by itself; it affects every framework alike."""
    text = words(root / "sys/kernel/mm/transparent_hugepage/enabled")
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
