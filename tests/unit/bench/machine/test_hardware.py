"""The memory that this machine has left."""

from types import SimpleNamespace

import pynvml
import pytest

from bench.machine import hardware
from bench.machine.hardware import available_gpu_memory, available_memory

GROUPS = "sys/fs/cgroup"
FREE = 2**40


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine with a tebibyte of free memory, whose files the test writes."""
    memory = SimpleNamespace(available=FREE)
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory)
    (tmp_path / GROUPS / "memory").mkdir(parents=True)
    return tmp_path


def write_version_2(root, limit):
    folder = root / GROUPS
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("700\n")
    (folder / "memory.stat").write_text("anon 600\ninactive_file 100\n")


def write_version_1(root, limit):
    folder = root / GROUPS / "memory"
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text("700\n")
    (folder / "memory.stat").write_text("inactive_file 0\ntotal_inactive_file 100\n")


@pytest.mark.parametrize("write", [write_version_1, write_version_2])
def test_the_limit_of_the_control_group_limits_the_available_memory(root, write):
    write(root, 1000)
    assert available_memory(root) == 360, "1000 less 600 that cannot be freed, less a tenth"


def test_a_group_above_its_limit_has_no_memory_left(root):
    write_version_2(root, 500)
    assert available_memory(root) == 0


@pytest.mark.parametrize(
    ("write", "limit"), [(write_version_1, 2**63 - 4096), (write_version_2, "max")]
)
def test_without_a_limit_nine_tenths_of_the_free_memory_are_available(root, write, limit):
    write(root, limit)
    assert available_memory(root) == int(0.9 * FREE)


def test_without_control_groups_nine_tenths_of_the_free_memory_are_available(root):
    assert available_memory(root) == int(0.9 * FREE)


class Driver:
    """A driver with two GPUs, with 1,000 and 2,000 free bytes."""

    def __init__(self, monkeypatch):
        self.is_open = False
        for name in ("nvmlInit", "nvmlShutdown"):
            monkeypatch.setattr(pynvml, name, getattr(self, name))
        by_index, by_uuid = [1000, 2000], {"GPU-a": 1000, "GPU-b": 2000}
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda i: self.find(by_index, i))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda i: self.find(by_uuid, i))
        monkeypatch.setattr(
            pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(free=handle)
        )

    def nvmlInit(self):  # noqa: N802
        self.is_open = True

    def nvmlShutdown(self):  # noqa: N802
        self.is_open = False

    def find(self, known, key):
        try:
            return known[key]
        except (LookupError, TypeError):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND) from None


@pytest.mark.parametrize(
    ("visible", "device", "free"),
    [
        (None, "gpu:0", 900),
        (None, "gpu:1", 1800),
        (None, "gpu:2", None),
        (None, "cpu", None),
        (None, "mps", None),
        ("1", "gpu:0", 1800),
        ("1,0", "gpu:1", 900),
        ("1", "gpu:1", None),
        ("GPU-b", "gpu:0", 1800),
        ("MIG-c", "gpu:0", None),
        ("", "gpu:0", None),
    ],
)
def test_the_free_memory_is_that_of_the_gpu_that_workers_see(monkeypatch, visible, device, free):
    driver = Driver(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert available_gpu_memory(device) == free
    assert not driver.is_open


def test_without_a_driver_the_memory_of_a_gpu_is_unknown(monkeypatch):
    def fail():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert available_gpu_memory("gpu:0") is None
