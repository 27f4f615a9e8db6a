"""Targets of fuzzing: parts of the program that must accept or refuse any input.

A target returns whether it accepted the input. Any other exception than a refusal is a bug.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from bench.cli import main
from bench.data.idx import read_idx
from bench.errors import DataError, RecordError, ShapeError
from bench.records.reader import read_run
from bench.spec.layers import from_json, to_json
from bench.spec.shapes import resolve
from support.hostile import ARGUMENTS, SPECS, idx_bytes, run_files
from support.idx_files import small_arrays, write_set


def idx_target(folder: Path, data: bytes) -> bool:
    """Read the bytes as an IDX file."""
    path = folder / "any"
    path.write_bytes(data)
    try:
        read_idx(path)
    except DataError as error:
        return _refused(error, f"{path}: received ")
    return True


def _refused(error: ValueError, beginning: str) -> bool:
    """Check that the message starts with the name of the file; return False."""
    if not str(error).startswith(beginning):
        raise AssertionError(f"the message does not name the file: {error}")
    return False


def spec_target(folder: Path, text: bytes) -> bool:
    """Decode the spec, infer its shapes, and encode it again."""
    try:
        layer = from_json(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    try:
        resolve(layer, (28, 28, 1))
    except ShapeError:
        return False
    assert from_json(to_json(layer)) == layer
    return True


def record_target(folder: Path, files: tuple[bytes, bytes]) -> bool:
    """Read the run folder."""
    (folder / "manifest.json").write_bytes(files[0])
    (folder / "trials.jsonl").write_bytes(files[1])
    try:
        read_run(folder)
    except RecordError as error:
        return _refused(error, str(folder))
    return True


def cli_target(folder: Path, arguments: list[str]) -> bool:
    """Run `bench run --dry-run` with the arguments, on a small data set."""
    typed = ["run", "--dry-run", "--data-dir", str(folder / "set"), "--batch-sizes", "4"]
    previous = sys.argv
    sys.argv = ["bench", *typed, *arguments]
    try:
        status = main()
    finally:
        sys.argv = previous
    assert status in (0, 2), status
    return status == 0


class Target(NamedTuple):
    """A part of the program that must accept or refuse any input.

    Attributes:
        inputs: the strategy that draws inputs.
        accepts: returns whether it accepts an input; it may write to the folder. It raises an
            exception only if it finds a bug.
    """

    inputs: st.SearchStrategy[Any]
    accepts: Callable[[Path, Any], bool]


def targets(manifest: bytes, record: bytes) -> dict[str, Target]:
    """Return the targets by name.

    Args:
        manifest: the manifest of a valid run.
        record: a record of the same run.
    """
    return {
        "IDX loader": Target(idx_bytes(), idx_target),
        "spec decoder": Target(SPECS, spec_target),
        "record reader": Target(run_files(manifest, record), record_target),
        "command line": Target(ARGUMENTS, cli_target),
    }


def furnish(folder: Path) -> None:
    """Write the data set of the command line's target into the folder."""
    write_set(folder / "set", small_arrays(16, 4))
