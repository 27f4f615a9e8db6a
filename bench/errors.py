"""The errors that the user can fix; the command line prints their message without a traceback.

    UserError
    ├── ChoiceError               an option, or a combination of options
    ├── ClusterError              a cluster that cannot be reached or has no suitable node
    ├── DataError                 a file of a data set
    ├── EnvironmentCreationError  a Python environment that cannot be created
    ├── InterpreterError          a Python interpreter that cannot run a worker
    ├── ModelError                a model's name, or the user's own model file
    ├── PluginError               an installed package that provides no valid backend or model
    ├── RecordError               a run folder
    ├── RunFileError              a run file in TOML
    └── ShapeError                a layer that does not fit its input

Any other exception is a fault of this program and is shown with its traceback.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Union


class UserError(ValueError):
    """An error that the user can fix. The message says what is wrong and what to do."""


class ChoiceError(UserError):
    """An invalid option, or options that cannot be combined."""


class ClusterError(UserError):
    """A cluster that cannot be reached, or that has no suitable node."""


class DataError(UserError):
    """A file of a data set that cannot be used.

    Args:
        path: the file, or the folder in which it should be.
        received: what was found.
        expected: what would be valid.
        mend: what the user can do about it.
    """

    def __init__(
        self, path: Union[str, os.PathLike[str]], received: str, expected: str, mend: str
    ) -> None:
        super().__init__(f"{os.fspath(path)}: received {received}, expected {expected}; {mend}")


class EnvironmentCreationError(UserError):
    """A Python environment that cannot be created."""


class InterpreterError(UserError):
    """A Python interpreter that is missing, does not answer or is too old for a worker."""


class ModelError(UserError):
    """A model that does not exist, or a model file that returns no valid model.

    Args:
        received: what was found.
        expected: what would be valid.
    """

    def __init__(self, received: str, expected: str) -> None:
        super().__init__(f"received {received}, expected {expected}")


class PluginError(UserError):
    """An entry point that provides no valid backend or model."""


class RecordError(UserError):
    """A run folder that cannot be read or written."""


class RunFileError(UserError):
    """An invalid run file. The message names the line."""


class ShapeError(UserError):
    """A layer that cannot take the shape of its input.

    Args:
        path: the layer's place in the model; empty for the model itself.
        received: what was found.
        expected: what would be valid.
    """

    def __init__(self, path: str, received: str, expected: str) -> None:
        super().__init__(f"{path or 'the model'}: received {received}, expected {expected}")


# A comma that no closing bracket follows before an opening one.
_COMMA = re.compile(r",(?![^\[]*\])")


def split_list(text: str) -> list[str]:
    """Split a comma-separated list into its distinct names, in order.

    Args:
        text: for example `a, b[x,y],c`, whose second name is `b[x,y]`.
    """
    names = (name.strip() for name in _COMMA.split(text))
    return list(dict.fromkeys(filter(None, names)))


def check_known(received: Sequence[str], known: Iterable[str], what: str) -> None:
    """Check that at least one name was received and that every name is a known one.

    Args:
        received: the names to check.
        known: the valid names.
        what: what a name stands for, for the message: `backend`.

    Raises:
        ChoiceError: no name was received, or an unknown one. The message lists the known names
            and suggests the most similar one.
    """
    names = list(known)
    if not received:
        raise ChoiceError(f"received no {what}, expected some of: {', '.join(names)}")
    for name in received:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ChoiceError(f"unknown {what} {name!r}: expected some of {', '.join(names)}{hint}")
