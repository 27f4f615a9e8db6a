"""Measures the trials of a session on this machine."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.cache import cache_folder
from bench.machine.hardware import usable_cpus
from bench.machine.other_runs import other_runs, presence
from bench.records.manifest import ClusterChoice
from bench.records.writer import RunFolder
from bench.run.examiner import certificates_in
from bench.run.interrupts import Interrupts
from bench.run.observers import Observer
from bench.run.preliminaries import preliminaries, with_results
from bench.run.prepare import Plan
from bench.run.request import Report
from bench.run.runner import LiveExecutor, TrialRunner
from bench.run.session import Measure, Session
from bench.run.validity import Validity, holding_of, why_invalid


class ThisMachine:
    """Measures in fresh processes of this machine, one after the other.

    Attributes:
        choice: None, because no cluster is involved.
        cpus: those that this process may use.
        executor: starts the workers.
    """

    choice: ClusterChoice | None = None

    def __init__(self, executor: LiveExecutor) -> None:
        self.executor = executor
        self.cpus = usable_cpus()
        self._caches: Path | None = None

    def place(self, plan: Plan, repeats: int, seed: int) -> Plan:
        """Leave the plan as it is: there is one kind of machine."""
        return plan

    def validity(self, plan: Plan) -> Validity:
        """Compare records with this machine and its installed backends."""
        here = holding_of(plan.experiment.recipes)
        return lambda record: why_invalid(record, [here])

    def warnings(self, report: Report) -> list[str]:
        """Warn when another run is measuring on this machine."""
        if not other_runs(cache_folder()):
            return []
        note = "another run was measuring on this machine when this one began: both are disturbed"
        report(f"Warning: {note}; better run one after the other")
        return [note]

    @contextlib.contextmanager
    def presence(self) -> Iterator[None]:
        """Hold a lock that other runs see, and a folder for the caches of compilers."""
        with presence(cache_folder()), _folder_of_caches() as self._caches:
            yield

    def start(
        self,
        session: Session,
        folder: RunFolder,
        observer: Observer,
        interrupts: Interrupts,
        report: Report,
    ) -> Measure:
        """Measure peak rates and make certificates, as far as the cache has none.

        Raises:
            KeyboardInterrupt: the user stopped it.
        """
        is_verified = session.manifest.verified
        results = list(
            preliminaries(session.plan, is_verified, self.executor, report, observer.check_began)
        )
        experiment = with_results(session.plan.experiment, results)
        if is_verified:
            folder.write_certificates(certificates_in(results))
        return TrialRunner(experiment, self.executor, folder, observer, self._caches).run


@contextlib.contextmanager
def _folder_of_caches() -> Iterator[Path | None]:
    """Make a folder for the caches of compilers; None if there is no room for it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="evenbench-", ignore_cleanup_errors=True)
    except OSError:  # workers cannot start either, and their records have the reason
        yield None
        return
    with folder as path:
        yield Path(path)
