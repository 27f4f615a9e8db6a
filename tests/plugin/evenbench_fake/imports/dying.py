"""A broken wheel: its native library crashes while it is loaded."""

import ctypes

ctypes.string_at(0)
