"""What a run leaves behind: a manifest of what was asked and where, and a record of each trial.

`manifest.json` is written once, before the first trial, and so is `certificates.json` unless the
check was left out. `trials.jsonl` gets one line a trial, appended and flushed to the disk as the
trial ends. JSON schemas are in docs/schema.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from bench.spec.layers import Layer
from bench.spec.training import Optimizer
from bench.verification.certificate import Certificate

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
TRIALS = "trials.jsonl"
CERTIFICATES = "certificates.json"

T = TypeVar("T")

Outcome = Literal[
    "ok",
    "failed",
    "crashed",
    "timeout",
    "out_of_memory",
    "diverged",
    "unsupported",
    "unavailable",
    "interrupted",
]


# Whether the contender was shown to do the work that the spec states: its certificate passed, it
# failed, or none was made.
Equivalence = Literal["passed", "failed", "not checked"]


# Who chooses what a user would leave unsaid, first of all the initial weights: the spec, the same
# for all, or each framework by its own defaults.
Arm = Literal["controlled", "native"]


class RecordError(ValueError):
    """A run folder that cannot be read: says which file, what is wrong and how to mend it."""


class EpochRecord(msgspec.Struct, frozen=True):
    """One epoch: training seconds, mean training loss (null if not finite), test accuracy after."""

    seconds: float
    mean_loss: float | None
    test_accuracy: float
    images: int
    evaluate_seconds: float


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One trial: what was asked, how it ended, and what was measured. Null: not known.

    Every quantity names its unit; docs/methodology.md says how each is taken. `backend_digest` is
    that of the backend's source, `machine` the name of the machine that ran it.
    """

    schema_version: int = SCHEMA_VERSION
    trial: str
    backend: str
    framework_version: str | None
    backend_digest: str = ""
    machine: str = ""
    versions: dict[str, str] = {}
    mode: str
    device: str
    device_title: str = ""
    model: str
    dataset: str
    precision: str = "float32"
    arm: Arm = "controlled"
    native_settings: dict[str, str] = {}
    equivalence: Equivalence = "not checked"
    batch_size: int
    epochs: int
    train_samples: int | None = None
    threads: int
    seed: int
    repeat: int
    outcome: Outcome
    reason: str | None = None
    throughput_images_per_second: float | None = None
    test_accuracy: float | None = None
    final_train_loss: float | None = None
    peak_memory_bytes: int | None = None
    baseline_memory_bytes: int | None = None
    device_peak_memory_bytes: int | None = None
    import_seconds: float | None = None
    data_seconds: float | None = None
    build_seconds: float | None = None
    compile_seconds: float | None = None
    train_seconds: float | None = None
    evaluate_seconds: float | None = None
    wall_seconds: float | None = None
    num_parameters: int | None = None
    macs_per_image: int | None = None
    per_epoch: list[EpochRecord] = []
    started_at: str | None = None
    exit_status: int | None = None
    environment: dict[str, str] = {}


class ModelFacts(msgspec.Struct, frozen=True):
    """A model of the run: its spec and what follows from it for the data set's images."""

    layer: Layer
    num_parameters: int
    macs_per_image: int


class DatasetFacts(msgspec.Struct, frozen=True):
    """The data set of the run."""

    name: str
    train_examples: int
    test_examples: int
    input_shape: tuple[int, ...]
    classes: int


class Gpu(msgspec.Struct, frozen=True):
    """A GPU as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine as it was when the run began. Null: the system does not tell."""

    hostname: str
    cpu_model: str | None
    physical_cores: int | None
    logical_cores: int | None
    usable_cpus: int
    memory_bytes: int
    operating_system: str
    python: str
    gpus: list[Gpu] = []
    load_average: list[float] | None = None


class Missing(msgspec.Struct, frozen=True):
    """A backend that `all` would have meant, had it been installed, and the command that does."""

    backend: str
    install: str


class PlannedTrial(msgspec.Struct, frozen=True):
    """A trial of the plan: its name, contender, block and seed."""

    trial: str
    backend: str
    mode: str
    device: str
    model: str
    batch_size: int
    seed: int
    repeat: int
    arm: Arm = "controlled"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, of which suite, on which machine."""

    schema_version: int = SCHEMA_VERSION
    suite_version: str
    started_at: str
    command: str
    machine: Machine
    dataset: DatasetFacts
    models: dict[str, ModelFacts]
    optimizer: Optimizer
    data_dir: str | None = None
    train_samples: int | None = None
    epochs: int
    repeats: int
    seed: int
    threads: int
    timeout_seconds: float
    verified: bool = False
    framework_versions: dict[str, str]
    missing: list[Missing] = []
    notes: list[str] = []
    plan: list[PlannedTrial]


class Run(msgspec.Struct, frozen=True):
    """A run as read from its folder. Without certificates where none were made."""

    folder: Path
    manifest: Manifest
    trials: list[TrialRecord]
    certificates: list[Certificate] = []


def read_run(folder: Path) -> Run:
    """Read a run folder. A last line that was cut off while it was written is left out.

    Of a trial that ran again, the last record stands.

    Raises:
        RecordError: no run there, or a file that is not what it should be.
    """
    manifest = _decode(folder / MANIFEST, _read(folder / MANIFEST), Manifest)
    path = folder / TRIALS
    lines = whole_lines(_read(path)) if path.exists() else []
    records = {record.trial: record for record in _records(path, lines)}
    return Run(folder, manifest, list(records.values()), _certificates(folder))


def whole_lines(text: bytes) -> list[bytes]:
    """The lines that end in a newline: what follows the last was being written when it stopped."""
    return text.split(b"\n")[:-1]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror}; expected a folder that `bench run` wrote"
        ) from error


def _certificates(folder: Path) -> list[Certificate]:
    path = folder / CERTIFICATES
    return _decode(path, _read(path), list[Certificate]) if path.exists() else []


def _records(path: Path, lines: list[bytes]) -> Iterable[TrialRecord]:
    for number, line in enumerate(lines, start=1):
        yield _decode(path, line, TrialRecord, f" line {number}")


def _decode(path: Path, text: bytes, kind: type[T], place: str = "") -> T:
    try:
        value = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}{place}: not as expected: {error}") from error
    version: Any = getattr(value, "schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}{place}: received schema version {version}, expected {SCHEMA_VERSION}: "
            "read it with the version of evenbench that wrote it"
        )
    return value


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON schema of each file, by file name."""
    return {
        MANIFEST: msgspec.json.schema(Manifest),
        TRIALS: msgspec.json.schema(TrialRecord),
        CERTIFICATES: msgspec.json.schema(list[Certificate]),
    }
