"""This machine: its processor, memory, operating system, GPUs and load.

No framework is imported to find out.
"""

import os
import platform
import sys
from functools import cache
from pathlib import Path

import psutil
import pynvml

from bench.cache import digest
from bench.records.manifest import Gpu, Machine

_PLACE_LETTERS = 8


def machine_name() -> str:
    """Return the machine's host name."""
    return platform.node()


def usable_cpus() -> tuple[int, ...]:
    """List the numbers of the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def describe_machine() -> Machine:
    """Describe the machine as it is now."""
    return Machine(
        hostname=machine_name(),
        cpu_model=_cpu_model(),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        usable_cpus=len(usable_cpus()),
        memory_bytes=psutil.virtual_memory().total,
        operating_system=_operating_system(),
        python=platform.python_version(),
        gpus=nvidia_gpus(),
        load_average=list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    )


@cache
def hardware_digest() -> str:
    """Compute the SHA-256 digest of the processor, cores, memory and GPUs.

    Records contain it in addition to the host name, because a name can move to other hardware.
    """
    machine = describe_machine()
    return digest(
        machine.cpu_model,
        machine.physical_cores,
        machine.logical_cores,
        machine.usable_cpus,
        machine.memory_bytes,
        [(gpu.name, gpu.memory_bytes) for gpu in machine.gpus],
    )


def place_of(hardware: str) -> str:
    """Shorten a hardware digest to the name of a kind of machine, as used in names of trials.

    Args:
        hardware: see `hardware_digest`.
    """
    return hardware[:_PLACE_LETTERS]


def has_accelerator() -> bool:
    """Return whether a framework might find a device other than the CPU.

    Looks for the device files of the drivers of NVIDIA, AMD and WSL, and for Apple silicon. Where
    the answer is no, no framework needs to be started to list its devices.
    """
    files = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return any(Path(file).exists() for file in files) or sys.platform == "darwin"


def nvidia_gpus() -> list[Gpu]:
    """List the NVIDIA GPUs that the driver reports; empty if there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        return [_nvidia_gpu(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _nvidia_gpu(index: int, driver: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(name=str(pynvml.nvmlDeviceGetName(handle)), memory_bytes=memory, driver=driver)


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or None  # the latter starts a process


def _operating_system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return f"{name or platform.system()}, kernel {platform.release()}"
