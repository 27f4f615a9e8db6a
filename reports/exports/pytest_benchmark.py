"""pytest-benchmark.json: contenders as benchmarks, for `pytest-benchmark compare` and CI services.

A benchmark's rounds are a contender's trials, each the mean seconds of a training step.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.documents.run_report import Edition
from reports.metrics import METRICS


def pytest_benchmark_bytes(edition: Edition) -> bytes:
    """Return the file in the format that pytest-benchmark 3 to 5 read and write."""
    value = {
        "machine_info": _machine(edition.sources[0]),
        "commit_info": {"id": None, "time": None, "dirty": None, "branch": None},
        "benchmarks": [
            _benchmark(ranking, contender)
            for ranking in edition.rankings
            for contender in ranking.contenders
            if contender.throughputs
        ],
        "datetime": edition.sources[0].run.manifest.started_at,
        "version": "4.0.0",
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _machine(source: Source) -> dict[str, Any]:
    machine = source.run.manifest.machine
    return {
        "node": machine.hostname,
        "processor": machine.cpu_model or "",
        "system": machine.operating_system,
        "python_version": machine.python,
        "cpu": {"brand_raw": machine.cpu_model or "", "count": machine.logical_cores},
    }


def _benchmark(ranking: Ranking, contender: Contender) -> dict[str, Any]:
    batch = int(ranking.choices["batch_size"])
    steps = [batch / throughput for throughput in contender.throughputs]
    return {
        "group": ranking.title,
        "name": f"train_step[{contender.label}]",
        "fullname": f"{ranking.title}::train_step[{contender.label}]",
        "params": {"backend": contender.backend, "mode": contender.mode} | dict(ranking.choices),
        "param": contender.label,
        "extra_info": {
            metric.key: contender[metric].value
            for metric in METRICS
            if contender[metric].value == contender[metric].value
        },
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": len(steps)},
        "stats": _stats(steps),
    }


def _stats(values: Sequence[float]) -> dict[str, Any]:
    """Return the statistics by the names and rules of pytest-benchmark; one round has no spread."""
    ordered = sorted(values)
    mean = statistics.fmean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    lower, middle, upper = _quartiles(ordered)
    width = upper - lower
    inner = [value for value in ordered if lower - 1.5 * width <= value <= upper + 1.5 * width]
    beyond = sum(abs(value - mean) > deviation for value in values)
    outside = len(ordered) - len(inner)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(values),
        "median": middle,
        "iqr": width,
        "q1": lower,
        "q3": upper,
        "iqr_outliers": outside,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outside}",
        "ld15iqr": inner[0],
        "hd15iqr": inner[-1],
        "ops": 1 / mean,
        "total": sum(values),
        "iterations": 1,
        "data": list(values),
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float, float]:
    if len(ordered) == 1:
        return ordered[0], ordered[0], ordered[0]
    lower, middle, upper = statistics.quantiles(ordered, n=4, method="inclusive")
    return lower, middle, upper
