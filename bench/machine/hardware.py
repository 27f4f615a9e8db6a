"""The machine, as far as it tells: processor, memory, system, GPUs and load. No framework."""

import os
import platform
import sys
from pathlib import Path

import psutil
import pynvml

from bench.records.manifest import Gpu, Machine


def usable_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def describe_machine() -> Machine:
    """The machine now."""
    return Machine(
        hostname=platform.node(),
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


def has_accelerator() -> bool:
    """Whether a framework might see anything but the CPU here: then it is worth asking.

    Looks for the device nodes of NVIDIA's and AMD's drivers, and of WSL, and for Apple silicon.
    """
    nodes = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return any(Path(node).exists() for node in nodes) or sys.platform == "darwin"


def nvidia_gpus() -> list[Gpu]:
    """NVIDIA's GPUs by their driver; empty where there is no driver."""
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
    return next(names, platform.processor() or None)


def _operating_system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return f"{name or platform.system()}, kernel {platform.release()}"
