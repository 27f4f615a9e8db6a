"""Any bytes as an IDX file and any four arrays as a data set: the correct array or an error."""

import gzip
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from support.idx_files import ARRAYS, encoded, header, small_arrays, write_set, written

from bench.data.decoded import open_decoded
from bench.data.idx import read_idx
from bench.data.prepare import prepare
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")

GOOD = encoded(np.arange(12).reshape(3, 4))
IDX_ARRAYS = arrays_of.arrays(
    np.uint8, arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
)
HEADERS = st.lists(st.integers(0, 2**32 - 1), max_size=6).map(lambda shape: header(*shape))


@st.composite
def idx_bytes(draw) -> bytes:
    """A valid file, a wrong header or noise; then truncated, extended, modified and compressed."""
    start = draw(st.one_of(IDX_ARRAYS.map(encoded), HEADERS, st.binary(max_size=40)))
    data = bytearray(start + draw(st.one_of(st.just(b""), st.binary(max_size=8))))
    if draw(st.booleans()):
        data = bytearray(gzip.compress(data) + draw(st.one_of(st.just(b""), st.just(bytes(data)))))
    for _ in range(draw(st.integers(0, 2))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


def parsed(data: bytes) -> np.ndarray | None:
    """Decode the bytes by the format's definition; None if they are invalid."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except Exception:
            return None
    if data[:3] != b"\0\0\x08" or len(data) < 4 or data[3] not in (1, 2, 3, 4):
        return None
    end = 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, end, 4)]
    values = list(data[end:])
    count = 1
    for size in shape:
        count *= size
    return np.array(values, np.uint8).reshape(shape) if values and count == len(values) else None


# Each example overwrites the files of the previous one in `tmp_path`, so all can share it.
SHARED_FIXTURES = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SHARED_FIXTURES
@given(data=idx_bytes())
@example(data=GOOD)
@example(data=gzip.compress(GOOD))
def test_any_bytes_give_the_correct_array_or_a_data_error(tmp_path, data):
    path = written(tmp_path / "any", data)
    expected = parsed(data)
    if expected is None:
        with pytest.raises(DataError):
            read_idx(path)
    else:
        np.testing.assert_array_equal(read_idx(path), expected)


def fits(arrays: dict[str, np.ndarray]) -> bool:
    images, labels, test_images, test_labels = (arrays[name] for name in ARRAYS)
    return (
        images.ndim in (3, 4)
        and images.shape[1:] == test_images.shape[1:]
        and labels.shape == images.shape[:1]
        and test_labels.shape == test_images.shape[:1]
        and max(test_labels.tolist()) <= max(labels.tolist())
    )


IMAGE_SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
LABELS = arrays_of.arrays(np.uint8, st.integers(1, 2), elements=st.integers(0, 3))
IMAGES = arrays_of.arrays(np.uint8, st.one_of(IMAGE_SHAPES, st.just((1, 2, 2, 3)), st.just((2, 2))))
ANY_SET = st.fixed_dictionaries(
    {name: IMAGES if "images" in name else st.one_of(LABELS, LABELS, IMAGES) for name in ARRAYS}
)


@settings(SHARED_FIXTURES, max_examples=150)
@given(arrays=ANY_SET)
@example(arrays=small_arrays())
def test_any_four_arrays_give_a_data_set_or_a_data_error(tmp_path, cache, arrays):
    shutil.rmtree(cache, ignore_errors=True)
    folder = write_set(tmp_path / "set", arrays)
    if fits(arrays):
        data = open_decoded(prepare(folder).folder)
        assert all(np.array_equal(getattr(data, name), arrays[name]) for name in ARRAYS)
    else:
        with pytest.raises(DataError):
            prepare(folder)
