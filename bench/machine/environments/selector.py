"""The syntax of a backend after --backends: a name, with an optional version or interpreter."""

import re

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bench.errors import ChoiceError

ALL = "all"  # every backend that can run here

_FORM = re.compile(
    r"(?P<text>(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:@(?P<path>[^\[]+)|(?P<version>[=<>!~][^\[]*))?)"
    r"(?:\[(?P<variables>.*)\])?",
    re.DOTALL,
)
_EXPECTED = "a backend like jax, jax==0.10.*, jax@/path/to/python or jax[NAME=value]"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
# A comma that starts the next variable; values may contain others.
_NEXT_VARIABLE = re.compile(r",(?=[A-Za-z_][A-Za-z0-9_]*=)")


class Selector(msgspec.Struct, frozen=True):
    """A backend as named after --backends.

    Attributes:
        text: backend with its version or interpreter, as records and reports call it.
        name: name of the backend.
        version: a version specifier as pip takes it (PEP 440); empty is any.
        interpreter: the Python of an environment that the user made; empty is none.
        environment: environment variables of its workers, `NAME=value` each.
    """

    text: str
    name: str
    version: str = ""
    interpreter: str = ""
    environment: tuple[str, ...] = ()


def parse_selector(text: str) -> Selector:
    """Parse `jax==0.10.*` or `jax[XLA_FLAGS=--flag,NAME=value]`.

    Raises:
        ChoiceError: the text, its version or a variable has another form.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ChoiceError(
            f"received {text!r}, expected a backend like jax, jax==0.10.* or jax@/path/to/python"
        )
    version = (match["version"] or "").replace(" ", "")
    try:
        SpecifierSet(version)
    except InvalidSpecifier as error:
        raise ChoiceError(
            f"received {text!r}, expected a version like ==2.13.* or >=2.12 after the name"
        ) from error
    variables = [] if match["variables"] is None else _NEXT_VARIABLE.split(match["variables"])
    for variable in variables:
        if not _VARIABLE.fullmatch(variable):
            raise ChoiceError(f"{text!r}: write environment variables as NAME=value in brackets")
    return Selector(
        match["text"].strip(), match["name"], version, match["path"] or "", tuple(variables)
    )
