"""A framework that waits for ever while it is imported."""

import threading

threading.Event().wait()
