"""The threads, devices, precisions and versions of the installed TensorFlow."""

from __future__ import annotations

import os

import tensorflow as tf

from backends.api import Device

# The number of devices that the CPU is split into for data-parallel training; see the recipe.
CPU_DEVICES = "EVENBENCH_TENSORFLOW_CPU_DEVICES"


def configure(threads: int) -> None:
    """Set the threads, the number of CPU devices, and GPU memory growth.

    Each device runs one operation at a time, with `threads` threads. Two at once were not faster
    for a chain of layers and would use more threads than the other frameworks.
    """
    devices = int(os.environ.get(CPU_DEVICES, "1"))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(devices)
    if devices > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, parts)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def devices() -> list[Device]:
    """Return the GPUs, then the CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    found = [
        Device("gpu", index, detail.get("device_name", "")) for index, detail in enumerate(details)
    ]
    return [*found, Device("cpu")]


def precisions(device: Device) -> list[str]:
    """Return the precisions of a device: float16 on GPUs, TF32 and bfloat16 on newer ones."""
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    gpu = tf.config.list_physical_devices("GPU")[device.index]
    # (8, 0) or above on newer NVIDIA GPUs; unknown for others.
    capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
    known = ["float32", "float16", "float64"]
    return [*known, *(["tf32", "bfloat16"] if capability >= (8, 0) else [])]


def name_of(device: Device) -> str:
    """Return TensorFlow's name of a device: `GPU:0`."""
    return f"{device.kind.upper()}:{device.index}"


def names_from(device: Device, number: int) -> list[str]:
    """Return TensorFlow's names of up to `number` devices of one kind, from this one on."""
    if number == 1:
        return [name_of(device)]  # without initialising TensorFlow's devices
    known = len(tf.config.list_logical_devices(device.kind.upper()))
    indices = range(device.index, min(known, device.index + number))
    return [name_of(Device(device.kind, index)) for index in indices]


def versions() -> dict[str, str]:
    """Return TensorFlow's version and, with a GPU, the versions of the GPU libraries."""
    build = tf.sysconfig.get_build_info() if tf.config.list_physical_devices("GPU") else {}
    known = {
        "tensorflow": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
    }
    return {name: version for name, version in known.items() if version}
