"""What this machine and this build of TensorFlow offer: threads, devices, versions."""

from __future__ import annotations

import tensorflow as tf

from backends.api import Device


def configure(threads: int) -> None:
    """Set the threads, and GPU memory that grows with what is used.

    One operation runs at a time, in `threads` threads: running two at once gained nothing for a
    chain of layers, and would take more threads than the other frameworks have.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
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


def versions() -> dict[str, str]:
    """TensorFlow's version and, where there is a GPU, those of the libraries it was built for."""
    build = tf.sysconfig.get_build_info() if tf.config.list_physical_devices("GPU") else {}
    known = {
        "tensorflow": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
    }
    return {name: version for name, version in known.items() if version}
