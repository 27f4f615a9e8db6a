"""The syntax of a backend after --backends: a name, with an optional version or interpreter."""

import re

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bench.errors import ChoiceError

ALL = "all"  # every backend that can run here

_FORM = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:@(?P<path>.+)|(?P<version>[=<>!~].*))?")


class Selector(msgspec.Struct, frozen=True):
    """A backend as the user typed it.

    Attributes:
        text: the whole text, which is the contender's name in records and reports.
        name: the backend's name.
        version: a version specifier in pip's syntax (PEP 440); empty for the installed version.
        interpreter: the Python of the user's own environment; empty for none.
    """

    text: str
    name: str
    version: str = ""
    interpreter: str = ""


def parse_selector(text: str) -> Selector:
    """Parse a selector.

    Args:
        text: for example `jax`, `jax==0.10.*` or `jax@/path/to/python`.

    Raises:
        ChoiceError: the syntax or the version is invalid.
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
    return Selector(text, match["name"], version, match["path"] or "")
