"""The fields of a trial's record as columns: every scalar, those of its parts among them."""

from collections.abc import Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from bench.records.trial import TrialRecord

# The worker's output is long, and a job's number of threads is the trial's own column `threads`.
_LEFT_OUT = (("log",), ("job", "threads"))
_SCALARS = {
    inspect.StrType: "text",
    inspect.LiteralType: "text",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
}


class Field(NamedTuple):
    """A scalar of a record.

    Attributes:
        name: the column's; that of a part's field starts with the part's name.
        path: attributes that lead to it.
        kind: `text`, `bool`, `int` or `float`; each may be missing.
    """

    name: str
    path: tuple[str, ...]
    kind: str

    def column(self, records: Sequence[TrialRecord]) -> list[Any]:
        """The value of each record; None where it, or the part that holds it, is not known."""
        first, *others = self.path
        values: list[Any] = list(map(attrgetter(first), records))
        for step in others:
            values = [None if value is None else getattr(value, step) for value in values]
        return values


@cache
def trial_fields() -> tuple[Field, ...]:
    """The fields of a trial in the record's order; lists and tables stay in trials.jsonl."""
    return tuple(_fields(TrialRecord, ()))


def _fields(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[Field]:
    told = inspect.type_info(kind)
    if not isinstance(told, inspect.StructType):
        raise TypeError(f"received {kind}, expected a struct")
    for field in told.fields:
        own = (*path, field.name)
        if own in _LEFT_OUT:
            continue
        for part in _parts(field.type):
            if isinstance(part, inspect.StructType):
                yield from _fields(part.cls, own)
            elif type(part) in _SCALARS:
                # The fields of a job are named like the record's own: `backend`, not `job_backend`.
                name = "_".join(own[1:] if own[0] == "job" else own)
                yield Field(name, own, _SCALARS[type(part)])


def _parts(kind: inspect.Type) -> list[inspect.Type]:
    """What the field may hold but for nothing."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [part for part in kinds if not isinstance(part, inspect.NoneType)]
