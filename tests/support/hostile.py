"""Hypothesis strategies for invalid and hostile input: files, specs, records and commands."""

import gzip
import json
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from bench.spec.layers import to_json
from bench.spec.models import MODELS
from support.idx_files import encoded, header

IDX_ARRAYS = arrays_of.arrays(
    np.uint8, arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
)
HEADERS = st.lists(st.integers(0, 2**32 - 1), max_size=6).map(lambda shape: header(*shape))


@st.composite
def damaged(draw: Any, texts: st.SearchStrategy[bytes]) -> bytes:
    """Change single bytes, cut the end off or append bytes; or change nothing."""
    data = bytearray(draw(texts))
    for _ in range(draw(st.integers(0, 2))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    length = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return bytes(data[:length] + draw(st.one_of(st.just(b""), st.binary(max_size=8))))


@st.composite
def idx_bytes(draw: Any) -> bytes:
    """Draw a valid file, a false header or noise; then damage, perhaps compress, and damage it."""
    data = draw(damaged(st.one_of(IDX_ARRAYS.map(encoded), HEADERS, st.binary(max_size=40))))
    if draw(st.booleans()):
        data = gzip.compress(data) + draw(st.one_of(st.just(b""), st.just(data)))
    return draw(damaged(st.just(data)))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["relu", "same", "valid", "", "=1+1", "<b>", "../x", "\0"]),
    st.text(max_size=6),
)
COMPOSITES = ["sequential", "add", "concatenate", "multiply"]
KINDS = [
    *("dense", "conv", "depthwise_conv", "batch_norm", "activation", "max_pool", "avg_pool"),
    *("global_avg_pool", "flatten", "dropout", "identity", "mystery"),
    *COMPOSITES,
]
FIELDS = [
    *("units", "filters", "kernel", "stride", "padding", "groups", "bias", "momentum", "rate"),
    *("epsilon", "function", "size", "unknown"),
]
SMALL = st.one_of(st.integers(0, 5), SCALARS)
LEAVES = st.builds(
    lambda kind, fields: {"kind": kind, **fields},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), SMALL, max_size=4),
)
LAYERS = st.recursive(
    st.one_of(LEAVES, SCALARS),
    lambda parts: st.builds(
        lambda kind, inner: {"kind": kind, "parts": inner},
        st.sampled_from(COMPOSITES),
        st.lists(parts, max_size=3),
    ),
    max_leaves=6,
)
DEEP = st.integers(1, 3000).map(
    lambda depth: b'{"kind":"sequential","parts":[' * depth + b'{"kind":"flatten"}' + b"]}" * depth
)
GOOD_SPECS = st.sampled_from([to_json(entry.build(10)) for entry in MODELS.values()][:14])


def as_json(value: Any) -> bytes:
    """Encode as Python does, with NaN, Infinity and escaped surrogates."""
    return json.dumps(value).encode()


SPECS = damaged(st.one_of(LAYERS.map(as_json), LAYERS.map(as_json), DEEP, GOOD_SPECS))


def run_files(manifest: bytes, record: bytes) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Draw the manifest and the records of a run.

    Fields are replaced or missing, records are repeated or cut off, or bytes are changed.
    """
    originals = json.loads(manifest), json.loads(record)

    def changed(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
        names = st.sampled_from([*document, "unknown"])
        values = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), LEAVES)
        changes = st.dictionaries(names, values, max_size=3)
        dropped = st.lists(names, max_size=1)
        return st.builds(
            lambda new, gone: as_json(
                {k: v for k, v in {**document, **new}.items() if k not in gone}
            ),
            changes,
            dropped,
        )

    manifests = damaged(st.one_of(st.just(manifest), changed(originals[0])))
    lines = st.lists(damaged(st.one_of(st.just(record), changed(originals[1]))), max_size=3)
    return st.tuples(manifests, lines.map(lambda each: b"\n".join(each)))


TYPED = [
    *("run", "list", "report", "verify", "backends", "models", "numpy", "all", "mlp", "", "--"),
    *("cpu", "gpu:9", "0", "-1", "1e9", "64,256", "64,64", "nan", "inf", "10m", "1e400h", ","),
    *("../..", "/dev/zero", "/proc/self/mem", "a" * 5000, "\udcff", "nothing.py:f", ":", "%s"),
    *("9" * 400, "[bold]", "{}", "\x1b[31m", "controlled", "native", "adam", "auto"),
]
ANY_WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=8)
WORDS = st.one_of(st.sampled_from(TYPED), ANY_WORD)
OPTIONS = [
    *("--backends", "--models", "--modes", "--devices", "--batch-sizes", "--epochs", "--repeats"),
    *("--seed", "--threads", "--timeout", "--train-samples", "--optimizer", "--learning-rate"),
    *("--momentum", "--nesterov", "--l2", "--arm", "--data-dir", "--output", "--resume", "--quiet"),
    *("--help", "--no-verify", "--unknown", "--precisions", "--input", "--until-accuracy"),
]
ARGUMENTS = st.lists(
    st.one_of(st.tuples(st.sampled_from(OPTIONS), WORDS), st.tuples(WORDS)), max_size=5
).map(lambda parts: [word for part in parts for word in part])
