"""The report's evidence on noise, clocks and peak rates."""

import msgspec
from support.records import NOISE, PEAK_SHARE

from reports.analysis.runs import read_sources
from reports.documents.run_report import Edition


def section(make, folder, *trials):
    report = Edition(read_sources([make.store(folder, trials)])).report
    return next((part for part in report.sections if part.anchor == "measurement"), None)


def test_disturbed_trials_and_shares_of_the_peak_are_shown(make, tmp_path):
    trials = [
        make.trial(noise=NOISE, limit=PEAK_SHARE, leftover_seconds=0.002),
        make.trial(repeat=2, noise=msgspec.structs.replace(NOISE, flags=(), attempts=())),
    ]
    found = section(make, tmp_path / "run", *trials)
    assert "1 of 2 trials stayed disturbed (slow canary); 1 measurement" in found.intro
    noise, limit = (part.table.rows[0] for part in found.parts)
    assert noise[2:] == ("1", "1", "20.0", "–", "1.30", "40", "1.50", "2.0")  # noqa: RUF001
    assert limit[2:] == ("90.0", "22.5", "400", "jax", "200")


def test_trials_during_another_run_are_reported(make, tmp_path):
    alone = make.trial(noise=NOISE)
    beside = make.trial(repeat=2, noise=NOISE, other_runs=1)
    told = "1 trial ran while another run measured on the machine."
    assert told in section(make, tmp_path / "both", alone, beside).intro
    assert "another run" not in section(make, tmp_path / "alone", alone).intro


def test_records_without_noise_have_no_section(make, tmp_path):
    assert section(make, tmp_path / "run", make.trial()) is None
