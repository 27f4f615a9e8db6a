"""What this machine and this build of torch offer: devices, versions, a compiler."""

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
    """CUDA or ROCm devices, then Apple's, then the CPU."""
    found = [
        Device("gpu", index, torch.cuda.get_device_name(index))
        for index in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        found.append(Device("mps", title="Apple GPU"))
    return [*found, Device("cpu")]


def torch_device(device: Device) -> torch.device:
    """The device in torch's words; ROCm devices go by the name cuda there too."""
    return torch.device("cuda", device.index) if device.kind == "gpu" else torch.device(device.kind)


def synchronise(device: torch.device) -> None:
    """Wait until the device is idle; the CPU is whenever a call returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def precisions(device: Device) -> list[str]:
    """What the device computes in: float16 on GPUs; TF32 and bfloat16 on those that have them.

    float16 on a CPU would be rounded float32, which tells nothing of a machine.
    """
    if device.kind == "mps":
        return ["float32"]
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    # TF32 came with compute capability 8; AMD's devices have another numbering, and no TF32.
    is_nvidia = torch.version.hip is None
    has_tf32 = is_nvidia and torch.cuda.get_device_capability(device.index) >= (8, 0)
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return [
        *("float32", "float16", "float64"),
        *(["bfloat16"] if has_bfloat16 else []),
        *(["tf32"] if has_tf32 else []),
    ]


def allow_tf32(allowed: bool) -> None:
    """Let CUDA round float32 operands to TF32, or not: torch's default does for convolutions."""
    format_ = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = format_
    torch.backends.cudnn.conv.fp32_precision = format_


def versions() -> dict[str, str]:
    """Versions of torch and of the libraries in its build that compute."""
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
    """Make sure that there is a C++ compiler for the code that torch.compile writes for the CPU.

    Raises:
        Unsupported: it is missing.
    """
    standard = "cl" if sys.platform == "win32" else "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", standard)
    if shutil.which(compiler) is None:
        raise Unsupported(
            f"mode compile: torch.compile needs a C++ compiler and there is no {compiler!r}; "
            f"install {standard}, or name another compiler in the variable CXX"
        )
