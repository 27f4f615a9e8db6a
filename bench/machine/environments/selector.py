"""What is typed after --backends: a name, a name with a version, or a name with an interpreter."""

import re

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bench.errors import ChoiceError

ALL = "all"  # every backend that can run here

_FORM = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:@(?P<path>.+)|(?P<version>[=<>!~].*))?")
_EXPECTED = "a backend like jax, jax==0.10.* or jax@/path/to/python"


class Selector(msgspec.Struct, frozen=True):
    """A backend as typed.

    Attributes:
        text: all of it: the name under which records and reports show the contender.
        name: the backend's.
        version: a version specifier as pip takes it (PEP 440); empty for whichever there is.
        interpreter: the Python of an environment that the user has; empty for none.
    """

    text: str
    name: str
    version: str = ""
    interpreter: str = ""


def parse_selector(text: str) -> Selector:
    """The selector in `jax==0.10.*`.

    Raises:
        ChoiceError: it has no such form, or its version is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ChoiceError(f"received {text!r}, expected {_EXPECTED}")
    version = (match["version"] or "").replace(" ", "")
    try:
        SpecifierSet(version)
    except InvalidSpecifier as error:
        raise ChoiceError(
            f"received {text!r}, expected a version like ==2.13.* or >=2.12 after the name"
        ) from error
    return Selector(text, match["name"], version, match["path"] or "")
