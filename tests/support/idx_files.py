"""Write IDX files and the folders of small data sets."""

import gzip
import struct
from pathlib import Path

import numpy as np

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
STANDARD = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def header(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def encoded(array: np.ndarray) -> bytes:
    return header(*array.shape) + array.astype(np.uint8).tobytes()


def written(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path


def small_arrays(train: int = 6, test: int = 4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "train_images": random.integers(0, 256, (train, 3, 2), np.uint8),
        "train_labels": np.arange(train, dtype=np.uint8) % 3,
        "test_images": random.integers(0, 256, (test, 3, 2), np.uint8),
        "test_labels": np.arange(test, dtype=np.uint8) % 3,
    }


def write_set(folder: Path, changes: dict[str, np.ndarray] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (small_arrays() | (changes or {})).items():
        written(folder / STANDARD[name], encoded(array))
    return folder


def write_tiny(folder: Path) -> Path:
    """Write a set of 6 x 5 images in three classes, 64 to train and 20 to test; labels are packed.

    Returns:
        The folder, which must not be there yet.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 64), ("t10k", 20)):
        images = encoded(random.integers(0, 256, (count, 6, 5)))
        written(folder / f"{split}-images-idx3-ubyte", images)
        labels = gzip.compress(encoded(np.arange(count) % 3))
        written(folder / f"{split}-labels-idx1-ubyte.gz", labels)
    return folder
