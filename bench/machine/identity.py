"""What makes a machine another one for a measurement: its name, and its hardware as a digest."""

import hashlib
import platform
from functools import cache

import msgspec

from bench.machine.hardware import describe_machine

_PLACE_LETTERS = 8


def machine_name() -> str:
    """The machine's own name."""
    return platform.node()


@cache
def hardware_digest() -> str:
    """SHA-256 over processor, cores, memory and GPUs: a name alone can move to other hardware."""
    machine = describe_machine()
    facts = (
        machine.cpu_model,
        machine.physical_cores,
        machine.logical_cores,
        machine.usable_cpus,
        machine.memory_bytes,
        [(gpu.name, gpu.memory_bytes) for gpu in machine.gpus],
    )
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def place_of(digest: str) -> str:
    """The short name of a kind of machine, by its hardware's digest: in the names of trials."""
    return digest[:_PLACE_LETTERS]
