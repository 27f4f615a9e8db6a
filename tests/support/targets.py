"""What takes anything: given an input, a target says whether it was accepted; it raises a bug."""

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
        return _told(error, f"{path}: received ")
    return True


def _told(error: ValueError, beginning: str) -> bool:
    """False, for a refusal, which names the file first."""
    if not str(error).startswith(beginning):
        raise AssertionError(f"the refusal does not name the file: {error}")
    return False


def spec_target(folder: Path, text: bytes) -> bool:
    """Decode the spec, infer its shapes, and write it again."""
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
        return _told(error, str(folder))
    return True


def cli_target(folder: Path, arguments: list[str]) -> bool:
    """Give the arguments to `bench run --dry-run`, with a data set that loads at once."""
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
    """A part of the program that takes anything.

    Attributes:
        inputs: what it is given.
        accepts: says whether it took the input, in a folder that is its own; raises a bug alone.
    """

    inputs: st.SearchStrategy[Any]
    accepts: Callable[[Path, Any], bool]


def targets(manifest: bytes, record: bytes) -> dict[str, Target]:
    """The targets by name, from the two files of a run that is whole."""
    return {
        "IDX loader": Target(idx_bytes(), idx_target),
        "spec decoder": Target(SPECS, spec_target),
        "record reader": Target(run_files(manifest, record), record_target),
        "command line": Target(ARGUMENTS, cli_target),
    }


def furnish(folder: Path) -> None:
    """Put into the folder what the command line's target reads."""
    write_set(folder / "set", small_arrays(16, 4))
