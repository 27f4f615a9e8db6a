"""Displays the progress of a run: a live line on a terminal, plain lines elsewhere.

The display changes only when an event arrives from a worker, never by a timer, which would take
time from the trial that is being measured.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from bench.records.trial import TrialRecord
from bench.run.observers import Observer
from bench.spec.job import Job, Trial
from bench.worker.protocol import EpochEnded, Event, PhaseBegan


@contextmanager
def observer_for(console: Console, total: int) -> Iterator[Observer]:
    """Choose the observer for a console: live on a terminal, else plain lines, or silent."""
    if not console.is_terminal or console.quiet:
        yield PlainLines(console, total)
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        yield LiveLine(progress, total)


class PlainLines:
    """Prints one line per trial when it has ended."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._nodes: dict[Trial, str] = {}

    def check_began(self, job: Job) -> None:
        """Print what is being checked."""
        self._console.print(checking(job))

    def trials_planned(self, number: int) -> None:
        """Add them to the total."""
        self._total += number

    def trial_began(self, trial: Trial, node: str = "") -> None:
        """Print the node if there are several, so that a node that hangs is known by name."""
        if node:
            self._nodes[trial] = f"{node}: "
            self._console.print(f"{node}: {in_words(trial)}: starting")

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Print nothing: the trial has not ended."""

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """Print why the trial is retried."""
        self._console.print(disturbed(trial, record))

    def trial_ended(self, trial: Trial, record: TrialRecord) -> None:
        """Print how the trial ended."""
        self._done += 1
        node = self._nodes.pop(trial, "")
        self._console.print(f"[{self._done}/{self._total}] {node}{ended(trial, record)}")


class LiveLine(PlainLines):
    """Shows one line per running trial, below the lines of the trials that have ended.

    Several nodes of a cluster have a running trial each.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__(progress.console, total)
        self._progress = progress
        self._began = time.monotonic()
        self._running: dict[Trial, str] = {}
        self._bar = progress.add_task("", total=total, left="")

    def check_began(self, job: Job) -> None:
        """Show what is being checked."""
        self._draw([checking(job), *self._running.values()])

    def trials_planned(self, number: int) -> None:
        """Add them to the total."""
        super().trials_planned(number)
        self._progress.update(self._bar, total=self._total)

    def trial_began(self, trial: Trial, node: str = "") -> None:
        """Show the trial, and its node if there are several."""
        self._nodes[trial] = f"{node}: " if node else ""
        self._show(trial, "starting")

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Show the phase, or the results of the epoch."""
        if isinstance(event, PhaseBegan):
            self._show(trial, event.phase)
        elif isinstance(event, EpochEnded):
            rate = event.images / event.seconds
            self._show(
                trial,
                f"epoch {event.epoch}, accuracy {event.test_accuracy:.4f}, {rate:,.0f} images/s",
            )

    def trial_ended(self, trial: Trial, record: TrialRecord) -> None:
        """Print how the trial ended."""
        self._running.pop(trial, None)
        super().trial_ended(trial, record)
        self._progress.update(self._bar, completed=self._done, left=self._time_left())
        self._progress.refresh()

    def _show(self, trial: Trial, what: str) -> None:
        self._running[trial] = f"{self._nodes.get(trial, '')}{in_words(trial)}: {what}"
        self._draw(list(self._running.values()))

    def _draw(self, lines: Sequence[str]) -> None:
        self._progress.update(self._bar, description="\n".join(lines))
        self._progress.refresh()

    def _time_left(self) -> str:
        seconds = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def checking(job: Job) -> str:
    """Return a line about the job whose certificate is being made."""
    precision = "" if job.precision == "float32" else f" in {job.precision}"
    device = job.device
    if job.world_size > 1:
        device = f"{job.world_size} x {device}"
    if job.hosts > 1:
        device = f"{device} of {job.hosts} hosts"
    who = f"{job.backend_title} {job.mode} on {device}{precision}"
    return f"checking {who}: {job.model}"


def in_words(trial: Trial) -> str:
    """Return the trial in a few words."""
    job = trial.job
    words = [
        f"{job.backend_title} {job.mode} on {job.device}",
        job.model,
        f"batch {job.batch_size}",
    ]
    return ", ".join([*words, *job.words(), f"repeat {trial.repeat}"])


def disturbed(trial: Trial, record: TrialRecord) -> str:
    """Return a line about a disturbed trial that is retried."""
    return f"{in_words(trial)}: disturbed ({_flags(record)}), so it is retried"


def _flags(record: TrialRecord) -> str:
    return ", ".join(record.noise.flags) if record.noise else ""


def ended(trial: Trial, record: TrialRecord) -> str:
    """Return a line about how a trial ended."""
    who = in_words(trial)
    if record.outcome != "ok":
        return f"{who}: {record.outcome}: {record.reason}"
    flags = _flags(record)
    known = record.test_accuracy is not None  # a trial in rounds may leave epochs out
    accuracy = f", accuracy {record.test_accuracy:.4f}" if known else ""
    others = ", while another run was measuring" if record.other_runs else ""
    return (
        f"{who}: {record.throughput_images_per_second:,.0f} images/s{accuracy}{others}"
        f"{f' (disturbed: {flags})' if flags else ''}"
    )
