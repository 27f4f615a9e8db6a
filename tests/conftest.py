"""What the suites share: a tiny data set, the fake backend, and a home of their own."""

import gzip
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.places import PLUGIN, ROOT

# A shell that starts the tests in the background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Decoded data and certificates go to a folder that all tests of a session share."""
    monkeypatch.setenv("EVENBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def plugin(monkeypatch):
    """The fake backend, installed for this test and the processes that it starts."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PLUGIN), str(ROOT)]))


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def tiny_data(tmp_path) -> Path:
    """A data set of 6 x 5 images in three classes: 64 to train, 20 to test."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 64), ("t10k", 20)):
        write_idx(folder / f"{split}-images-idx3-ubyte", random.integers(0, 256, (count, 6, 5)))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", np.arange(count) % 3)
    return folder


@pytest.fixture
def bench():
    """Run the command line in a process of its own, as a person would."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 300),
            cwd=options.pop("cwd", ROOT),
            **options,
        )

    return run


TINY_MODEL = """
from bench.spec.layers import Dense, Flatten, sequential

def tiny(classes):
    return sequential(Flatten(), Dense(classes))

def wide():
    return sequential(Flatten(), Dense(1000))

def deep(classes):
    return sequential(Dense(classes))

def broken():
    raise OSError("no such luck")
"""


@pytest.fixture
def tiny(tmp_path, tiny_data, plugin) -> list[str]:
    """The options of a run that takes a second."""
    (tmp_path / "models.py").write_text(TINY_MODEL)
    model = f"{tmp_path / 'models.py'}:tiny"
    data = ["--data-dir", str(tiny_data), "--models", model, "--batch-sizes", "16"]
    return [*data, "--epochs", "1"]


@pytest.fixture
def no_traceback():
    """Hand a finished command on, and see that it showed no traceback."""

    def check(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
        assert "Traceback" not in done.stderr + done.stdout
        return done

    return check
