"""The fake backend's session: trains nothing, and fails as its mode says."""

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

STEP_SECONDS = 0.05  # of the modes that take their time


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

    def compile(self, steps, batch_size):
        pass

    def train(self, batches, learning_rates):
        FAULTS.get(self.mode, works)()
        getattr(self, f"_{self.mode}", lambda steps: None)(len(batches))
        loss = {"nan": np.nan, "infinite": np.inf}.get(self.mode, 1.0)
        return np.full(len(batches), loss, np.float32)

    def _steady(self, steps):
        """Work that takes a time for each step, and is over on return."""
        time.sleep(STEP_SECONDS * steps)

    def _early(self, steps):
        """Return at once; the work goes on in the background."""
        self._wait()
        self.background = threading.Thread(target=self._steady, args=[steps])
        self.background.start()

    def _dispatches(self, steps):
        """Return early after a time that does grow with the steps, as a queue of kernels does."""
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
    """A library reads where nothing is."""
    ctypes.CDLL(None).strlen(ctypes.c_void_p(8))


def aborts():
    """As a library does whose assertion fails."""
    ctypes.CDLL(None).abort()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    time.sleep(600)


def hangs_natively():
    """A library waits and holds the interpreter's lock: no Python code runs any more."""
    ctypes.PyDLL(None).pause()


def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def forks():
    """Leave a child behind that holds every pipe of the worker."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    os._exit(3)


def detaches():
    """Leave a child in a session of its own that holds every pipe."""
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
    """What a library does that finds no memory and cannot say so in Python."""
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    if libc.malloc(2**32) is None:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        libc.abort()


def lingers():
    """Take ever so long to take itself down."""
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
