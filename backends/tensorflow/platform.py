"""What this machine and this build of TensorFlow offer: threads, devices, versions."""

from __future__ import annotations

import tensorflow as tf

from backends.api import Device


def configure(threads: int) -> None:
    """Set the threads, float32 without TF32, and GPU memory that grows with what is used.

    One operation runs at a time, in `threads` threads: running two at once gained nothing for a
    chain of layers, and would take more threads than the other frameworks have.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)
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
