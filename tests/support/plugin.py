"""The fake backend: a package with modes that fail in every way; see tests/plugin."""

import os

import pytest

from support.places import PLUGIN, ROOT


def install_plugin(patch: pytest.MonkeyPatch) -> None:
    """Install the fake backend in this process and in all that it starts, until the patch ends."""
    patch.syspath_prepend(PLUGIN)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(PLUGIN), str(ROOT)]))
