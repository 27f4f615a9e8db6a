"""An executor that answers every task from a script, so that no process starts.

For tests of what happens between trials: order, retries, interruption, resuming, exit statuses.
What a worker process does, and how it can die, is tested with real ones.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bench.run.executor import WorkerEnd
from bench.run.launch import Launch
from bench.verification.certificate import Check
from bench.worker.protocol import (
    Calls,
    CheckBegan,
    Checked,
    Command,
    Devices,
    EpochEnded,
    Event,
    Failed,
    Finished,
    FirstStep,
    Imported,
    PhaseBegan,
    PhaseEnded,
    Predicted,
    PreliminaryTask,
    Probe,
    Rates,
    Ready,
    SliceEnded,
    Task,
    TrainTask,
)
from bench.worker.usage import Usage

ACCURACY = 0.35
EPOCH_SECONDS = 0.25
PHASE_SECONDS = 0.125
QUIET = Usage(
    wall_seconds=EPOCH_SECONDS,
    cpu_seconds=EPOCH_SECONDS,
    involuntary_switches=0,
    other_seconds=0.0,
    steal_seconds=0.0,
    throttled_seconds=0.0,
)
BUSY = Usage(
    wall_seconds=EPOCH_SECONDS,
    cpu_seconds=EPOCH_SECONDS,
    involuntary_switches=0,
    other_seconds=EPOCH_SECONDS,
    steal_seconds=0.0,
    throttled_seconds=0.0,
)
_FAKE = "evenbench_fake.session:FakeBackend"
_BROKEN = "evenbench_fake.not_there"
_DEVICES = {_FAKE: {"gpu:0": "Fake GPU", "cpu": ""}}
_PREDICTED = Predicted(
    latencies=(1e-4, 2e-4, 3e-4),
    latency_calls=1000,
    batch_size=20,
    calls=100,
    call_seconds=0.1,
    compile_seconds=0.01,
    seconds=0.3,
)


class Answer(NamedTuple):
    """What a scripted worker does.

    Attributes:
        events: reported in this order.
        exit_status: of the process that it stands for; None if there could be none.
        timed_out: whether the executor had to kill it.
        log: the end of its output.
        start_error: why there could be no process.
        interrupt: whether the user interrupts the run after the last event.
    """

    events: tuple[Event, ...]
    exit_status: int | None = 0
    timed_out: bool = False
    log: str = ""
    start_error: str = ""
    interrupt: bool = False


class ScriptedExecutor:
    """An `Executor` that answers from a script.

    Attributes:
        tasks: all that it was given, in order.
        answers: the next answers to training tasks; when they are used up, `answer_to` answers.
    """

    def __init__(
        self,
        answers: Iterable[Answer | None] = (),
        usual: Callable[[Task], Answer] | None = None,
    ) -> None:
        """Prepare the answers.

        Args:
            answers: to the first training tasks; None stands for the usual one.
            usual: the usual answer to a task; by default `answer_to`.
        """
        self._usual = usual or answer_to
        self.tasks: list[Task] = []
        self.answers: list[Answer | None] = list(answers)

    @property
    def trained(self) -> list[TrainTask]:
        """The training tasks."""
        return [task for task in self.tasks if isinstance(task, TrainTask)]

    def run(
        self, task: Task, launch: Launch, timeout: float, on_event: Callable[[Event], None]
    ) -> WorkerEnd:
        """See `Executor.run`."""
        self.tasks.append(task)
        next_answer = self.answers.pop(0) if isinstance(task, TrainTask) and self.answers else None
        answer = next_answer or self._usual(task)
        for event in answer.events:
            on_event(event)
        if answer.interrupt:
            raise KeyboardInterrupt
        return WorkerEnd(
            answer.exit_status,
            answer.timed_out,
            answer.log,
            dict(launch.variables),
            answer.start_error,
        )

    def open(self, task: TrainTask, launch: Launch, timeout: float) -> "ScriptedWorker":
        """See `LocalExecutor.open`; the answers are those to training tasks."""
        self.tasks.append(task)
        next_answer = self.answers.pop(0) if self.answers else None
        return ScriptedWorker(next_answer or answer_to(task), task, dict(launch.variables))


class ScriptedWorker:
    """A worker in rounds that passes on the events of an answer, part by part.

    It reports the events before the first epoch when it is opened, the epochs when it completes
    them, and the others at the end. A slice of training takes a quarter of a second.
    """

    def __init__(self, answer: Answer, task: TrainTask, environment: dict[str, str]) -> None:
        self._answer = answer
        self._task = task
        self._environment = environment
        self._left = list(answer.events)
        self._calls = Calls(4)

    def follow(self, on_event: Callable[[Event], None]) -> bool:
        """See `bench.run.executor.LiveWorker`."""
        self._pass_on(on_event, until=EpochEnded)
        if not self._left:
            if self._answer.interrupt:
                raise KeyboardInterrupt
            return False
        on_event(Ready(None, self._task.epochs))
        return True

    def command(self, command: Command, on_event: Callable[[Event], None]) -> bool:
        """See `bench.run.executor.LiveWorker`."""
        images = self._calls.steps * self._task.job.batch_size
        if command.action == "start":
            on_event(Ready(self._calls, self._task.epochs))
        elif command.action == "train":
            usage = next(each.usage for each in self._answer.events if isinstance(each, EpochEnded))
            on_event(SliceEnded("train", images, EPOCH_SECONDS, usage))
            on_event(Ready(self._calls, self._task.epochs))
        elif command.action == "complete":
            self._pass_on(on_event, until=PhaseBegan)
            on_event(Ready(self._calls, 0))
        elif command.action == "predict":
            on_event(SliceEnded("latency", 100, 0.1))
            on_event(SliceEnded("predict", 1000, 0.1, QUIET))
            on_event(Ready(self._calls, 0))
        else:
            self._pass_on(on_event)
            return False
        if self._answer.interrupt:
            raise KeyboardInterrupt
        return True

    def close(self) -> WorkerEnd:
        """See `bench.run.executor.LiveWorker`."""
        answer = self._answer
        return WorkerEnd(
            answer.exit_status, answer.timed_out, answer.log, self._environment, answer.start_error
        )

    def _pass_on(self, on_event: Callable[[Event], None], until: type[Event] | None = None) -> None:
        while self._left and not (until and isinstance(self._left[0], until)):
            on_event(self._left.pop(0))


def answer_to(task: Task) -> Answer:
    """Answer a task as the real worker of the fake backend, or of NumPy, would."""
    if task.adapter.startswith(_BROKEN):
        reason = f"the framework cannot be imported: No module named {_BROKEN!r}"
        return failing((PhaseBegan("import"),), "unavailable", reason)
    if isinstance(task, TrainTask):
        return by_mode(task)
    if isinstance(task, PreliminaryTask):
        return _preliminaries(task)
    if isinstance(task, Probe):
        return Answer((*imported(task), Devices(_devices(task))))
    raise TypeError(f"no scripted answer to a {type(task).__name__}")


def by_mode(task: TrainTask) -> Answer:
    """Let a trial end as its mode says; the names are those of the fake backend."""
    before = tuple(prepared(task))
    match task.job.mode:
        case "raises":
            return failing(before, "failed", "RuntimeError: the fake framework gives up")
        case "unsupported":
            return failing(before, "unsupported", "layer 0.flatten: the fake has no Flatten")
        case "killed":
            return Answer(before, exit_status=-9)
        case "hangs":
            return Answer(before, exit_status=-6, timed_out=True)
    if task.adapter == _FAKE and task.job.device not in _DEVICES[_FAKE]:
        seen = ", ".join(_DEVICES[_FAKE])
        reason = f"device {task.job.device}: the framework sees {seen}"
        return failing(imported(task), "unsupported", reason)
    return trained(task)


def failing(before: Iterable[Event], outcome: str, reason: str) -> Answer:
    """Let the worker report a failure after some events."""
    return Answer((*before, Failed(outcome, reason)), exit_status=1)


def trained(
    task: TrainTask,
    *,
    accuracies: Sequence[float] = (ACCURACY,),
    usage: Usage = QUIET,
    seconds: float = EPOCH_SECONDS,
) -> Answer:
    """Let a trial end well.

    Args:
        task: what is trained.
        accuracies: after each epoch; the last also holds for those that follow.
        usage: who used the CPUs in each epoch.
        seconds: of each epoch.
    """
    return Answer((*prepared(task), *_epochs(task, accuracies, usage, seconds)))


def imported(task: Task) -> tuple[Event, ...]:
    """The events of an import."""
    name = "fake" if task.adapter == _FAKE else task.adapter.split(".")[1]
    began, ended = PhaseBegan("import"), PhaseEnded("import", PHASE_SECONDS)
    return began, ended, Imported({name: "1.0+imported"}, 2**25)


def prepared(task: TrainTask) -> Iterator[Event]:
    """The events up to the first training step."""
    yield from imported(task)
    for phase in ("data", "build", "compile"):
        yield PhaseBegan(phase)
        yield PhaseEnded(phase, PHASE_SECONDS)


def _epochs(
    task: TrainTask, accuracies: Sequence[float], usage: Usage, seconds: float
) -> Iterator[Event]:
    target = task.until_accuracy
    for epoch in range(1, task.epochs + 1):
        accuracy = accuracies[min(epoch, len(accuracies)) - 1]
        images = 4 * task.job.batch_size
        yield EpochEnded(epoch, images, seconds, 1.0, accuracy, 0.05, usage, 0.0)
        if epoch == 1:
            yield FirstStep(5 * PHASE_SECONDS)
        if target is not None and accuracy >= target:
            break
    yield PhaseBegan("inference")
    yield _PREDICTED
    yield Finished(2**26, 12345)


def _preliminaries(task: PreliminaryTask) -> Answer:
    devices = _devices(task)
    before = (*imported(task), Devices(devices))
    if task.device not in devices:
        reason = f"device {task.device}: the framework sees {', '.join(devices)}"
        return failing(before, "unsupported", reason)
    rates = [Rates({"float32": 1e12}, 1e10, None, QUIET)] if task.peak_rates else []
    return Answer((*before, *rates, *_checks(task), Finished(None, None)))


def _checks(task: PreliminaryTask) -> Iterator[Event]:
    """NumPy does the work that the spec states; the fake does not."""
    difference = 1.0 if task.adapter == _FAKE else 0.0
    for job in task.jobs:
        yield CheckBegan(job, task.contender_seconds)
        yield Checked(job, (Check("logits in inference", difference, 1e-3),), 0.1)


def _devices(task: Task) -> dict[str, str]:
    return _DEVICES.get(task.adapter, {"cpu": ""})
