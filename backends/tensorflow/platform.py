"""What this machine and this build of TensorFlow offer: threads, devices, versions."""

from __future__ import annotations

import os

import tensorflow as tf

from backends.api import Device

# Into how many devices the CPU is split for data-parallel training; see the recipe.
CPU_DEVICES = "EVENBENCH_TENSORFLOW_CPU_DEVICES"


def configure(threads: int) -> None:
    """Set the threads, the devices of the CPU, and GPU memory that grows with what is used.

    One operation runs at a time on each device, in `threads` threads: running two at once gained
    nothing for a chain of layers, and would take more threads than the other frameworks have.
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
    """GPUs, then the CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    found = [
        Device("gpu", index, detail.get("device_name", "")) for index, detail in enumerate(details)
    ]
    return [*found, Device("cpu")]


def precisions(device: Device) -> list[str]:
    """What the device computes in: float16 on GPUs; TF32 and bfloat16 on those that have them."""
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    gpu = tf.config.list_physical_devices("GPU")[device.index]
    # (8, 0) and above on NVIDIA's devices; not told of others.
    capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
    known = ["float32", "float16", "float64"]
    return [*known, *(["tf32", "bfloat16"] if capability >= (8, 0) else [])]


def name_of(device: Device) -> str:
    """The device in TensorFlow's words: `GPU:0`."""
    return f"{device.kind.upper()}:{device.index}"


def names_from(device: Device, number: int) -> list[str]:
    """At most so many devices of the device's kind and from it on, in TensorFlow's words."""
    if number == 1:
        return [name_of(device)]  # without starting TensorFlow to ask what there is
    known = len(tf.config.list_logical_devices(device.kind.upper()))
    indices = range(device.index, min(known, device.index + number))
    return [name_of(Device(device.kind, index)) for index in indices]


def versions() -> dict[str, str]:
    """TensorFlow's version and, where there is a GPU, those of the libraries it was built for."""
    build = tf.sysconfig.get_build_info() if tf.config.list_physical_devices("GPU") else {}
    known = {
        "tensorflow": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
    }
    return {name: version for name, version in known.items() if version}
