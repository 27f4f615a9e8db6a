"""A framework whose native library crashes while it is loaded."""

import ctypes

ctypes.string_at(0)
