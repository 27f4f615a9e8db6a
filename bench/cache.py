"""Files that a cache keeps: one appears whole or not at all, and none must be there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Optional


def keep(path: Optional[Path], data: bytes) -> None:
    """Write the file; a cache that cannot be written costs only the time to make it again.

    Args:
        path: of the file; None keeps nothing.
        data: all that it holds.
    """
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
