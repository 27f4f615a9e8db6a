"""Examines NVIDIA GPUs: other processes, temperature, clocks."""

from collections.abc import Callable
from typing import Any

import pynvml

from bench.cli.doctor.finding import UNKNOWN, Finding

_HOT_CELSIUS = 80


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
