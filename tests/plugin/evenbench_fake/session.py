"""The session of the fake backend. It trains nothing, and fails as its mode says."""

import atexit
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np

from backends.api import Backend, Device, Gradients, Session, Unsupported
from evenbench_fake import RECIPE

STEP_SECONDS = 0.05  # duration of a step in the modes that take time


class FakeBackend(Backend):
    recipe = RECIPE

    def __init__(self, threads):
        self.threads = threads

    def join(self, hosts):
        self.hosts = hosts

    def versions(self):
        return {"fake": "1.0+imported"}

    def devices(self):
        return [Device("gpu", 0, "Fake GPU"), Device("cpu")]

    def _session(self, workload):
        if workload.mode == "unsupported":
            raise Unsupported("layer 0.flatten: the fake framework has no Flatten")
        return FakeSession(workload)


class FakeSession(Session):
    def __init__(self, workload):
        self.mode = workload.mode
        self.initial = workload.weights
        self.classes = workload.model.output_shape[0]
        self.background = None
        self.continued = 0
        if self.mode in LATER:
            signal.signal(signal.SIGCONT, self._continue)

    def _continue(self, *received):
        """Count how often the worker continued after a pause."""
        self.continued += 1

    def compile(self, steps, batch_size):
        pass

    def train(self, batches, learning_rates):
        FAULTS.get(self.mode, works)()
        if self.continued > 2:  # in the second round; the first continuation is the start
            LATER.get(self.mode, works)()
        getattr(self, f"_{self.mode}", lambda steps: None)(len(batches))
        loss = {"nan": np.nan, "infinite": np.inf}.get(self.mode, 1.0)
        return np.full(len(batches), loss, np.float32)

    def _steady(self, steps):
        """Sleep for a fixed time per step."""
        time.sleep(STEP_SECONDS * steps)

    def _early(self, steps):
        """Return at once, while the work continues in the background."""
        self._wait()
        self.background = threading.Thread(target=self._steady, args=[steps])
        self.background.start()

    def _dispatches(self, steps):
        """Return early, after a time proportional to the steps, like a queue of kernels."""
        self._early(3 * steps)
        self._steady(steps)

    def _wait(self):
        if self.background is not None:
            self.background.join()
            self.background = None

    def predict(self, images):
        self._wait()
        return np.eye(self.classes, dtype=np.float32)[np.zeros(len(images), int)]

    def gradients(self, batch):
        return Gradients(np.zeros((len(batch), self.classes), np.float32), 0.0, self.initial)

    def weights(self):
        return self.initial

    def device_memory(self):
        return 12345


def works():
    pass


def raises():
    raise RuntimeError("the fake framework gives up")


def exits():
    os._exit(7)


def segfaults():
    ctypes.string_at(0)


def segfaults_natively():
    """Read an invalid address in a C library."""
    ctypes.CDLL(None).strlen(ctypes.c_void_p(8))


def aborts():
    """Abort like a C library whose assertion fails."""
    ctypes.CDLL(None).abort()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    time.sleep(600)


def hangs_natively():
    """Wait in a C library that holds the GIL, so that no Python code can run."""
    ctypes.PyDLL(None).pause()


def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def forks():
    """Leave a child process that keeps every pipe of the worker open."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    os._exit(3)


def detaches():
    """Leave a child process in a new session that keeps every pipe of the worker open."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.Popen(command, close_fds=False, start_new_session=True)
    os._exit(3)


def shouts():
    for _ in range(64):
        sys.stdout.write("x" * 65536 + "\n")


def garbles():
    os.write(1, b"\xff\xfe not text \x00\n")
    os._exit(9)


def starved():
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    np.ones(2**29)


def killed_for_memory():
    """Abort like a C++ library that runs out of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    if libc.malloc(2**32) is None:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        libc.abort()


def lingers():
    """Hang while the interpreter exits."""
    atexit.register(hangs)


FAULTS = {
    function.__name__: function
    for function in (
        raises,
        exits,
        segfaults,
        segfaults_natively,
        aborts,
        killed,
        hangs,
        hangs_natively,
        deaf,
        forks,
        detaches,
        shouts,
        garbles,
        starved,
        killed_for_memory,
        lingers,
    )
}

# Faults of workers that take turns with others.
LATER = {"exits_later": exits, "hangs_later": hangs, "starved_later": starved}
