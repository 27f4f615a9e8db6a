"""A run file: what `bench run` is asked, in TOML, with matrices, includes, excludes and baselines.

    title = "Where does the order turn?"

    [run]                     # options that hold for the whole run
    epochs = 1

    [matrix]                  # every combination is a job; several matrices: [[matrix]]
    backends = ["torch", "jax"]
    batch_sizes = [16, 64, 256]

    [[include]]               # one more matrix; what it leaves out is as in the first
    backends = ["numpy"]
    batch_sizes = [64]

    [[exclude]]               # jobs that have all these values are left out
    mode = "scan"
    batch_size = [16, 64]

    [baselines.usual]         # what the report compares with, by name
    backend = "torch"
    mode = "eager"

The keys of `run`, `matrix` and `include` are the options of `bench run` with `_` for `-`.
"""

import difflib
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.errors import ChoiceError, ModelError, RunFileError
from bench.run.plan import Selector
from bench.run.prepare import SelectorError

LARGEST_FILE = 2**20  # bytes
_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")
_FIELDS = {
    "model": str,
    "batch_size": int,
    "backend": str,
    "mode": str,
    "device": str,
    "arm": str,
    "precision": str,
    "input": str,
    "threads": int,
    "world_size": int,
    "hosts": int,
}

Options = Mapping[str, Any]  # a value, or a list, by an option's name with `_` for `-`


class Place(NamedTuple):
    """A table of the file: its name, and which one of those of that name it is."""

    table: str
    number: int = 0


class Lines:
    """Where in the file each table and key stands."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text.splitlines()
        self._found: dict[tuple[Place, str], int] = {}
        seen: Counter[str] = Counter()
        place = Place("")
        for number, line in enumerate(self._text, start=1):
            if header := _HEADER.match(line):
                place = Place(header[1], seen[header[1]])
                seen[header[1]] += 1
                self._found[place, ""] = number
                self._found.setdefault((Place(""), header[1].partition(".")[0]), number)
            elif key := _KEY.match(line):
                self._found.setdefault((place, key[1]), number)

    def error(self, place: Place, key: str, what: str) -> RunFileError:
        """The error at a key, or at its table where the key is not found."""
        number = self._found.get((place, key)) or self._found.get((place, ""))
        return RunFileError(f"{self._path}{f', line {number}' if number else ''}: {what}")

    def about(self, what: str) -> RunFileError:
        """The error at the line that holds what the message quotes."""
        for quoted in re.findall(r"'([^']+)'", what):
            for number, line in enumerate(self._text, start=1):
                if f'"{quoted}"' in line or f"'{quoted}'" in line:
                    return RunFileError(f"{self._path}, line {number}: {what}")
        return RunFileError(f"{self._path}: {what}")


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says; values of options are still as they stand there.

    Attributes:
        path: of the file.
        title: of the run; may be empty.
        settings: options that hold for the whole run.
        matrices: options whose every combination is a job, each matrix with its place.
        excludes: jobs that are left out.
        baselines: what is compared with, by name.
        lines: where everything stands.
    """

    path: Path
    title: str
    settings: Options
    matrices: list[tuple[Place, Options]]
    excludes: list[Selector]
    baselines: dict[str, Selector]
    lines: Lines

    @contextmanager
    def locating_errors(self) -> Iterator[None]:
        """Add the line to errors about what the file requests.

        Raises:
            RunFileError: an error of the options, with the file and the line.
        """
        try:
            yield
        except SelectorError as error:
            place = Place(error.table, error.number)
            raise self.lines.error(place, "", str(error)) from error
        except (ChoiceError, ModelError) as error:
            raise self.lines.about(str(error)) from error


def read_run_file(path: Path, matrix_keys: Iterable[str], run_keys: Iterable[str]) -> RunFile:
    """Read the file and check its shape; values of options are checked by who knows them.

    Args:
        path: of the file.
        matrix_keys: the keys that a matrix may have.
        run_keys: the keys that `[run]` may have.

    Raises:
        RunFileError: it cannot be read, is no TOML, or holds what no run file holds.
    """
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RunFileError(f"{path}: not TOML: {error}") from error
    reader = _Reader(Lines(path, text), list(matrix_keys), list(run_keys))
    reader.known(Place(""), tables, ("title", "run", "matrix", "include", "exclude", "baselines"))
    matrices = reader.matrices(tables)
    title = tables.get("title", "")
    if not isinstance(title, str):
        raise reader.lines.error(Place(""), "title", f"received {title!r}, expected text")
    return RunFile(
        path=path,
        title=title,
        settings=reader.options(Place("run"), tables.get("run", {}), reader.run_keys),
        matrices=matrices,
        excludes=[
            reader.selector(Place("exclude", index), each)
            for index, each in enumerate(reader.listed(tables, "exclude"))
        ],
        baselines={
            name: reader.selector(Place(f"baselines.{name}"), each, several=False)
            for name, each in reader.table(Place("baselines"), tables.get("baselines", {})).items()
        },
        lines=reader.lines,
    )


class _Reader(NamedTuple):
    """Checks tables as tomllib gives them."""

    lines: Lines
    matrix_keys: list[str]
    run_keys: list[str]

    def matrices(self, tables: Options) -> list[tuple[Place, Options]]:
        first = self.listed(tables, "matrix") or [{}]
        found: list[tuple[Place, Options]] = [
            (Place("matrix", index), self.options(Place("matrix", index), each, self.matrix_keys))
            for index, each in enumerate(first)
        ]
        for index, each in enumerate(self.listed(tables, "include")):
            place = Place("include", index)
            found.append((place, {**found[0][1], **self.options(place, each, self.matrix_keys)}))
        return found

    def listed(self, tables: Options, name: str) -> list[Any]:
        """The tables of that name, be it one or several."""
        value = tables.get(name, [])
        return value if isinstance(value, list) else [value]

    def table(self, place: Place, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.lines.error(
                Place(""), place.table, f"received {value!r}, expected a table [{place.table}]"
            )
        return value

    def options(self, place: Place, value: Any, keys: list[str]) -> dict[str, Any]:
        table = self.table(place, value)
        self.known(place, table, keys)
        for key, each in table.items():
            values = each if isinstance(each, list) else [each]
            if not all(isinstance(one, (str, int, float)) for one in values):
                raise self.lines.error(
                    place, key, f"{key}: received {each!r}, expected a value or a list of values"
                )
        return table

    def selector(self, place: Place, value: Any, *, several: bool = True) -> Selector:
        table = self.table(place, value)
        self.known(place, table, _FIELDS)
        for key, each in table.items():
            values = each if several and isinstance(each, list) else [each]
            kind = _FIELDS[key]
            if not values or not all(type(one) is kind for one in values):
                wanted = f"{_KINDS[kind]} or a list" if several else _KINDS[kind]
                raise self.lines.error(place, key, f"{key}: received {each!r}, expected {wanted}")
        return dict(table)

    def known(self, place: Place, table: Options, keys: Iterable[str]) -> None:
        names = list(keys)
        for key in table:
            if key not in names:
                nearest = difflib.get_close_matches(key, names, n=1)
                hint = f"; did you mean {nearest[0]}?" if nearest else ""
                raise self.lines.error(
                    place, key, f"unknown key {key!r}: expected some of {', '.join(names)}{hint}"
                )


_KINDS: dict[type, str] = {str: "text", int: "a whole number"}


def _text(path: Path) -> str:
    try:
        status = path.stat()  # reading a pipe or a device could wait, or never end
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise RunFileError(
                f"{path}: received no regular file, or one of {status.st_size:,} bytes, expected a "
                f"run file in TOML of at most {LARGEST_FILE:,}"
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: received bytes that are no UTF-8: {error}") from error
