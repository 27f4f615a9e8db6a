"""The sections on what is not in the rankings: failures, gaps, and what did other work."""

from collections.abc import Iterator, Sequence

from bench.verification.certificate import Certificate, Check
from reports.analysis.rankings import Ranking
from reports.analysis.runs import Source
from reports.display import LONGEST_REASON, count, plain, shortened, shown, significant
from reports.document import Part, Section, Table, numbers, texts


def absence_sections(rankings: Sequence[Ranking], sources: Sequence[Source]) -> list[Section]:
    """Return the sections in the order in which they are read."""
    return [_not_measured(rankings, sources), _equal_work(sources)]


def _not_measured(rankings: Sequence[Ranking], sources: Sequence[Source]) -> Section:
    parts = [*_failures(rankings), *_missing(sources), *_without_record(sources)]
    intro = "" if parts else "Every trial that was planned gave a measurement."
    return Section("not-measured", "Not measured", tuple(parts), intro)


def _failures(rankings: Sequence[Ranking]) -> Iterator[Part]:
    rows = tuple(
        (
            failure.label,
            ranking.title,
            failure.outcome,
            f"{failure.trials:,}",
            shortened(failure.reason, LONGEST_REASON),
        )
        for ranking in rankings
        for failure in ranking.failures
    )
    if rows:
        columns = (
            *texts("Contender", "Model and device", "Outcome"),
            *numbers("Trials"),
            *texts("Reason"),
        )
        table = Table("Trials that gave no measurement", columns, rows)
        yield Part(heading="What failed, and why", table=table)


def _missing(sources: Sequence[Source]) -> Iterator[Part]:
    missing_backends = {
        (source.name, plain(missing.backend), plain(missing.install))
        for source in sources
        for missing in source.run.manifest.missing
    }
    if missing_backends:
        columns = texts("Backend", "Run", "Command that installs it")
        rows = tuple((backend, run, install) for run, backend, install in sorted(missing_backends))
        table = Table("Backends that were not installed", columns, rows)
        yield Part(heading="Not installed", table=table)


def _without_record(sources: Sequence[Source]) -> Iterator[Part]:
    """Yield the table of planned trials that an interrupted run did not measure."""
    rows = []
    for source in sources:
        recorded = {trial.trial for trial in source.run.trials}
        left = [planned.name for planned in source.run.manifest.plan]
        left = [plain(name) for name in left if name not in recorded]
        if left:
            names = shortened(", ".join(left), LONGEST_REASON)
            rows.append((source.name, f"{len(left):,}", names))
    if rows:
        columns = (*texts("Run"), *numbers("Trials"), *texts("Names"))
        table = Table("Planned trials without a record", columns, tuple(rows))
        yield Part(heading="Planned, but without a record", table=table)


def _equal_work(sources: Sequence[Source]) -> Section:
    certificates = list(
        dict.fromkeys(certificate for source in sources for certificate in source.run.certificates)
    )
    if not certificates:
        intro = "No certificates of equal work were made, so nothing here proves that it was equal."
        return Section("equal-work", "Equal work", (), intro, reference=True)
    passed = sum(certificate.passed for certificate in certificates)
    intro = (
        f"{passed} of {count(len(certificates), 'certificate')} passed: each compares logits, "
        "loss, gradients and training steps with a float64 reference. A contender that did not "
        "pass is not comparable and has no rank."
    )
    columns = (
        *texts("Contender", "Model and device", "Verdict"),
        *numbers("Checks passed", "Largest difference, % of its tolerance"),
        *texts("What failed"),
    )
    rows = tuple(_certificate_row(certificate) for certificate in certificates)
    part = Part(table=Table("Certificates of equal work", columns, rows))
    return Section("equal-work", "Equal work", (part,), intro, reference=True)


def _certificate_row(certificate: Certificate) -> tuple[str, ...]:
    checks = certificate.checks
    return (
        plain(f"{certificate.job.backend} {certificate.job.mode}"),
        plain(f"{certificate.job.model} on {certificate.job.device}"),
        "passed" if certificate.passed else "failed",
        f"{len(checks) - len(certificate.failures)} of {len(checks)}",
        _largest_share(checks),
        shortened(_fault(certificate), LONGEST_REASON) or "nothing",
    )


def _largest_share(checks: Sequence[Check]) -> str:
    """Return how close the worst check came to its tolerance, except for checks without one."""
    shares = [
        check.difference / check.tolerance
        for check in checks
        if check.difference is not None and check.tolerance > 0
    ]
    return shown(max(shares, default=None), significant(3, 100))


def _fault(certificate: Certificate) -> str:
    if certificate.error:
        return certificate.error
    return "; ".join(f"{check.name} {check.where}".strip() for check in certificate.failures)
