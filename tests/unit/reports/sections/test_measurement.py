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


def rounds(make, folder, *trials, **changes):
    report = Edition(read_sources([make.store(folder, trials, **changes)])).report
    return next((part for part in report.sections if part.anchor == "rounds"), None)


def test_trials_that_were_measured_alone_are_not_said_to_take_turns(make, tmp_path):
    assert rounds(make, tmp_path / "run", *make.TRIALS) is None


def test_rounds_and_replaced_slices_are_counted(make, tmp_path):
    trials = [
        make.in_rounds("torch", "eager", 1, [1000] * 5, (2,)),
        make.in_rounds("jax", "jit", 1, [2000] * 5, (1, 2, 3)),
    ]
    found = rounds(make, tmp_path / "run", *trials, rounds=4)
    assert found.intro.startswith("All 2 trials took turns")
    assert "There were 5 rounds per repeat and 10 slices in all." in found.intro
    told = "4 of them were disturbed and do not count; further rounds replaced 2 of these."
    assert told in found.intro
    (part,) = found.parts
    assert part.table.rows == (
        ("jax jit", "1", "5", "3", "100"),
        ("torch eager", "1", "5", "1", "100"),
    )
    assert (part.chart.name, part.picture.stem, part.ranking) == ("slices", "slices-mlp-on-cpu", 0)
    assert "rows reach" not in part.chart.caption
    assert "A row reaches 5 % above and below the median." in part.chart.caption


def test_trials_that_were_measured_in_another_way_are_named(make, tmp_path):
    trials = [
        make.in_rounds("torch", "eager", 1, [1000] * 4),
        make.in_rounds("torch", "eager", 2, [1000] * 4, **make.WARM),
        make.trial("jax", "jit"),
    ]
    found = rounds(make, tmp_path / "run", *trials, rounds=4)
    assert found.intro.startswith("2 of 3 trials took turns")
    assert "None was disturbed." in found.intro
    alone, cold, trained = found.parts[0].paragraphs
    assert alone.startswith("1 trial of jax jit ran alone, one after the other instead of")
    assert "from the 2 trials that started alone and with empty caches" in cold
    assert "from the 2 trials that trained all epochs" in trained


def test_disturbances_of_a_trial_in_rounds_are_shares_of_its_slices(make, tmp_path):
    noise = msgspec.structs.replace(NOISE, train_other_seconds=0.2)
    trial = make.in_rounds("torch", "eager", 1, [1000] * 4, noise=noise, train_seconds=100.0)
    assert section(make, tmp_path / "run", trial).parts[0].table.rows[0][4] == "20.0"


def test_a_caption_says_that_rounds_are_left_out(make, tmp_path):
    trials = [make.in_rounds("torch", f"m{n}", 1, [1000] * 100) for n in range(70)]
    found = rounds(make, tmp_path / "run", *trials, rounds=100)
    assert "Only one round in 2 is drawn." in found.parts[0].chart.caption
    assert "7,000 slices in all" in found.intro
