"""A run file: what `bench run` is to do, in TOML.

    title = "Where does the order turn?"

    [run]                     # options of the whole run
    epochs = 1

    [matrix]                  # every combination is a job; several matrices: [[matrix]]
    backends = ["torch", "jax"]
    batch_sizes = [16, 64, 256]

    [[include]]               # one more matrix; its other options are those of the first
    backends = ["numpy"]
    batch_sizes = [64]

    [[exclude]]               # jobs with all these values are left out
    mode = "scan"
    batch_size = [16, 64]

    [baselines.usual]         # what the report compares with, by name
    backend = "torch"
    mode = "eager"

The keys of `run` are the fields of `RunOptions`, those of `matrix` and `include` the fields of
`MatrixOptions`: the options of `bench run` with `_` for `-`.
"""

import difflib
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from bench.errors import ChoiceError, ModelError, RunFileError
from bench.run.decode import OptionError, decode_option
from bench.run.plan import Selector
from bench.run.prepare import SelectorError
from bench.run.request import MatrixOptions, Request, RunOptions
from bench.spec.job import Job

LARGEST_FILE = 2**20  # bytes
_TABLES = ("title", "run", "matrix", "include", "exclude", "baselines")
_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")

T = TypeVar("T", MatrixOptions, RunOptions)


class Place(NamedTuple):
    """A table of the file.

    Attributes:
        table: its name.
        number: which one of the tables with this name it is, from 0.
    """

    table: str
    number: int = 0


class Lines:
    """The line of each table and key."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text.splitlines()
        self._numbers: dict[tuple[Place, str], int] = {}
        seen: Counter[str] = Counter()
        place = Place("")
        for number, line in enumerate(self._text, start=1):
            if header := _HEADER.match(line):
                place = Place(header[1], seen[header[1]])
                seen[header[1]] += 1
                self._numbers[place, ""] = number
                self._numbers.setdefault((Place(""), header[1].partition(".")[0]), number)
            elif key := _KEY.match(line):
                self._numbers.setdefault((place, key[1]), number)

    def error(self, place: Place, key: str, what: str) -> RunFileError:
        """Return an error that names the line of a key, or of its table if the key is not found."""
        number = self._numbers.get((place, key)) or self._numbers.get((place, ""))
        return RunFileError(f"{self._path}{f', line {number}' if number else ''}: {what}")

    def error_about(self, what: str) -> RunFileError:
        """Return an error that names the first line with a value that the message quotes."""
        for quoted in re.findall(r"'([^']+)'", what):
            for number, line in enumerate(self._text, start=1):
                if f'"{quoted}"' in line or f"'{quoted}'" in line:
                    return RunFileError(f"{self._path}, line {number}: {what}")
        return RunFileError(f"{self._path}: {what}")


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A run file."""

    request: Request
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
            raise self.lines.error_about(str(error)) from error


def read_run_file(path: Path) -> RunFile:
    """Read and decode a run file.

    Raises:
        RunFileError: it cannot be read, is not TOML, or has an unknown key or an invalid value.
    """
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RunFileError(f"{path}: not TOML: {error}") from error
    reader = _Reader(Lines(path, text))
    reader.check_keys(Place(""), tables, _TABLES)
    title = tables.get("title", "")
    if not isinstance(title, str):
        raise reader.lines.error(Place(""), "title", f"title cannot be {title!r}: expected text")
    request = Request(
        title=title,
        options=reader.options(Place("run"), tables.get("run", {}), RunOptions),
        matrices=reader.matrices(tables),
        excludes=[
            reader.selector(Place("exclude", index), each)
            for index, each in enumerate(reader.listed(tables, "exclude"))
        ],
        baselines={
            name: reader.selector(Place(f"baselines.{name}"), each, several=False)
            for name, each in reader.table(Place("baselines"), tables.get("baselines", {})).items()
        },
    )
    return RunFile(request=request, lines=reader.lines)


class _Reader(NamedTuple):
    """Decodes tables as tomllib returns them."""

    lines: Lines

    def matrices(self, tables: Mapping[str, Any]) -> list[MatrixOptions]:
        first = self.listed(tables, "matrix") or [{}]
        matrices = [
            self.options(Place("matrix", index), each, MatrixOptions)
            for index, each in enumerate(first)
        ]
        for index, each in enumerate(self.listed(tables, "include")):
            changes = self.values(Place("include", index), each, MatrixOptions)
            matrices.append(msgspec.structs.replace(matrices[0], **changes))
        return matrices

    def listed(self, tables: Mapping[str, Any], name: str) -> list[Any]:
        """Return the tables of that name, whether there is one or several."""
        value = tables.get(name, [])
        return value if isinstance(value, list) else [value]

    def table(self, place: Place, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.lines.error(
                Place(""), place.table, f"{place.table} must be a table: [{place.table}]"
            )
        return value

    def options(self, place: Place, value: Any, kind: type[T]) -> T:
        """Decode a table into a struct of options."""
        try:
            return kind(**self.values(place, value, kind))
        except OptionError as error:  # of options that cannot be combined
            raise self._error(place, error) from error

    def values(self, place: Place, value: Any, kind: type[T]) -> dict[str, Any]:
        """Decode the values of a table, by key."""
        table = self.table(place, value)
        self.check_keys(place, table, kind.__struct_fields__)
        values = {}
        for key, each in table.items():
            try:
                values[key] = decode_option(kind, key, each)
            except OptionError as error:
                raise self._error(place, error) from error
        return values

    def selector(self, place: Place, value: Any, *, several: bool = True) -> Selector:
        table = self.table(place, value)
        kinds = {field.name: field.type for field in msgspec.structs.fields(Job)}
        for name in ("place", "environment"):  # a digest, and more than one value
            del kinds[name]
        self.check_keys(place, table, kinds)
        for key, each in table.items():
            values = each if several and isinstance(each, list) else [each]
            is_number = int in (kinds[key], *get_args(kinds[key]))
            wanted = int if is_number else str
            if not values or not all(type(one) is wanted for one in values):
                expected = "a whole number" if is_number else "text"
                expected += " or a list" if several else ""
                raise self.lines.error(place, key, f"{key} cannot be {each!r}: expected {expected}")
        return dict(table)

    def check_keys(self, place: Place, table: Mapping[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for key in table:
            if key not in names:
                raise self.lines.error(place, key, f"unknown key {key!r}: {_advice(key, names)}")

    def _error(self, place: Place, error: OptionError) -> RunFileError:
        return self.lines.error(place, error.option, f"{error.option} {error.reason}")


def _advice(key: str, known: list[str]) -> str:
    """Return where an unknown key belongs, or which keys are known."""
    if nearest := difflib.get_close_matches(key, known, n=1):
        return f"expected one of {', '.join(known)}; did you mean {nearest[0]}?"
    if key in RunOptions.__struct_fields__:
        return "it belongs to [run]"
    if key in MatrixOptions.__struct_fields__:
        return "it belongs to [matrix]"
    return f"expected one of {', '.join(known)}"


def _text(path: Path) -> str:
    try:
        status = path.stat()  # reading a pipe or a device could wait, or never end
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise RunFileError(
                f"{path}: not a run file: expected a regular file of at most {LARGEST_FILE:,} bytes"
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: not text in UTF-8: {error}") from error
