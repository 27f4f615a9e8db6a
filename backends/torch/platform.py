"""The devices, precisions and versions of the installed torch, and its compiler."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Optional

import torch

from backends.api import Device, Unsupported

_CPU_LIBRARIES = {
    "mkl": r"Math Kernel Library Version ([\w.]+)",
    "onednn": r"MKL-DNN v([\w.]+)",
}


def devices() -> list[Device]:
    """Return CUDA or ROCm devices, then Apple's GPU, then the CPU."""
    found = [
        Device("gpu", index, torch.cuda.get_device_name(index))
        for index in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        found.append(Device("mps", title="Apple GPU"))
    return [*found, Device("cpu")]


def torch_device(device: Device) -> torch.device:
    """Return torch's device; ROCm devices are named cuda too."""
    return torch.device("cuda", device.index) if device.kind == "gpu" else torch.device(device.kind)


def synchronise(device: torch.device) -> None:
    """Wait until the device is idle; the CPU always is when a call returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def precisions(device: Device) -> list[str]:
    """Return the precisions of a device: float16 on GPUs, TF32 and bfloat16 on newer ones.

    float16 on a CPU would be rounded float32, whose speed says nothing about a machine.
    """
    if device.kind == "mps":
        return ["float32"]
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    # NVIDIA GPUs have TF32 from compute capability 8 on; AMD GPUs are numbered differently.
    is_nvidia = torch.version.hip is None
    has_tf32 = is_nvidia and torch.cuda.get_device_capability(device.index) >= (8, 0)
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return [
        *("float32", "float16", "float64"),
        *(["bfloat16"] if has_bfloat16 else []),
        *(["tf32"] if has_tf32 else []),
    ]


def allow_tf32(allowed: bool) -> None:
    """Set whether CUDA rounds float32 operands to TF32, as torch does for convolutions."""
    format_ = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = format_
    torch.backends.cudnn.conv.fp32_precision = format_


def versions() -> dict[str, str]:
    """Return the versions of torch and of the libraries that it computes with."""
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    known: dict[str, Optional[str]] = {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "cudnn": None if cudnn is None else str(cudnn),
    }
    build = torch.__config__.show()
    for name, pattern in _CPU_LIBRARIES.items():
        match = re.search(pattern, build)
        known[name] = match.group(1) if match else None
    return {name: version for name, version in known.items() if version}


def require_compiler() -> None:
    """Check that there is a C++ compiler, which torch.compile needs on the CPU.

    Raises:
        Unsupported: there is none.
    """
    standard = "cl" if sys.platform == "win32" else "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", standard)
    if shutil.which(compiler) is None:
        raise Unsupported(
            f"mode compile needs a C++ compiler and {compiler!r} is not installed; "
            f"install {standard}, or set the variable CXX to another compiler"
        )
