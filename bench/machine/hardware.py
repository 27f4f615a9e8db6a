"""This machine: its processor, memory, operating system, GPUs and load.

No framework is imported to find out.
"""

import contextlib
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pynvml

from bench.cache import digest
from bench.records.manifest import Gpu, Machine

_PLACE_LETTERS = 8
_ROOT = Path("/")
# Share of the free memory that is not counted as available. Processes need more for moments, and
# the kernel needs some for files.
RESERVE = 0.1
# In versions 2 and 1 of the control groups: the files with the limit, the usage and its parts, and
# the part of the usage that the kernel frees when memory is needed.
_GROUP_MEMORY = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


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


def available_memory(root: Path = _ROOT) -> int:
    """Return the bytes of memory that new processes may use, without swap and the reserve.

    Args:
        root: folder of the system's files.
    """
    free = [psutil.virtual_memory().available, *_left_in_group(root / "sys/fs/cgroup")]
    return max(0, int((1 - RESERVE) * min(free)))


def _left_in_group(folder: Path) -> list[int]:
    """Return the bytes up to the limit of the control group; nothing where it has no limit."""
    left = []
    for limit, usage, parts, cached in _GROUP_MEMORY:
        with contextlib.suppress(OSError, ValueError):  # no such version, or the limit is "max"
            most, used = (int((folder / name).read_text()) for name in (limit, usage))
            lines = (line.split() for line in (folder / parts).read_text().splitlines())
            left.append(most - used + int(dict(lines).get(cached, 0)))
    return left


def available_gpu_memory(device: str) -> int | None:
    """Return the bytes of a GPU's memory that new processes may use, without the reserve.

    Args:
        device: as in a job, `gpu:0`.

    Returns:
        None where it is unknown: for other devices, and GPUs that NVIDIA's driver does not report.
    """
    kind, _, index = device.partition(":")
    if kind != "gpu":
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handle = _visible_gpu(int(index), os.environ.get("CUDA_VISIBLE_DEVICES"))
        return int((1 - RESERVE) * pynvml.nvmlDeviceGetMemoryInfo(handle).free)
    except (pynvml.NVMLError, IndexError):
        return None
    finally:
        pynvml.nvmlShutdown()


def _visible_gpu(index: int, visible: str | None) -> Any:
    """Return the driver's handle of the GPU that workers number `index`.

    The driver numbers GPUs by their slots, CUDA by their speed, which is the same for equal GPUs.

    Args:
        index: among the visible GPUs.
        visible: CUDA_VISIBLE_DEVICES; None makes all of them visible.

    Raises:
        IndexError: there are not so many.
        pynvml.NVMLError: the driver does not know it.
    """
    name = str(index) if visible is None else visible.split(",")[index].strip()
    if name.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    return pynvml.nvmlDeviceGetHandleByUUID(name)


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
