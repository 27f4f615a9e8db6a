"""What a report says of records whose numbers are known by hand."""

import csv
import math
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from bench.records import (
    DatasetFacts,
    EpochRecord,
    Machine,
    Manifest,
    Missing,
    ModelFacts,
    PlannedTrial,
    RecordError,
    TrialRecord,
)
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Adam, Sgd
from bench.verification.certificate import Certificate, Check
from reports import write_report
from reports.answers import facts, lead, sentence
from reports.figures import bars, curves, palette
from reports.figures.canvas import house_style
from reports.formats import fixed, listed, plain, shortened, shown, significant
from reports.markdown import escape
from reports.metrics import FIRST_STEP, MEMORY_ABOVE_BASELINE, METRICS, PEAK_MEMORY, THROUGHPUT
from reports.rankings import rankings_of, rankings_of_records
from reports.sources import read_sources
from reports.summary import HEADER, NUMBERS, summary_rows

MACHINE = Machine(
    hostname="bench-host",
    cpu_model="AMD EPYC 7763",
    physical_cores=1,
    logical_cores=2,
    usable_cpus=2,
    memory_bytes=8 * 2**30,
    operating_system="Debian 12, kernel 6.1",
    python="3.11.7",
    load_average=[0.1, 0.2, 0.3],
)
MANIFEST = Manifest(
    suite_version="0.1",
    started_at="2026-01-01T00:00:00+00:00",
    command="python -m bench run --backends all",
    machine=MACHINE,
    dataset=DatasetFacts("mnist", 60_000, 10_000, (28, 28, 1), 10),
    models={"mlp": ModelFacts(sequential(Flatten(), Dense(10)), 109_386, 109_184)},
    optimizer=Sgd(),
    epochs=3,
    repeats=3,
    seed=0,
    threads=2,
    timeout_seconds=600,
    verified=True,
    framework_versions={"jax": "0.10.2", "torch": "2.13.0"},
    plan=[],
)
EPOCHS = ((0.50, 0.93), (0.25, 0.96), (0.25, 0.975))


def trial(backend="torch", mode="eager", repeat=1, **changes):
    """A trial that ended well: 0.2 s of start, 3 epochs, 300 MiB of which 100 after the import."""
    base = TrialRecord(
        trial="",
        backend=backend,
        framework_version="1.0",
        versions={backend: "1.0"},
        mode=mode,
        device="cpu",
        model="mlp",
        dataset="mnist",
        equivalence="passed",
        batch_size=64,
        epochs=3,
        threads=2,
        seed=repeat - 1,
        repeat=repeat,
        outcome="ok",
        throughput_images_per_second=100_000.0,
        test_accuracy=0.975,
        final_train_loss=0.0812,
        peak_memory_bytes=300 * 2**20,
        baseline_memory_bytes=100 * 2**20,
        import_seconds=1.5,
        data_seconds=0.25,
        build_seconds=0.125,
        compile_seconds=0.0625,
        train_seconds=1.0,
        evaluate_seconds=0.3,
        wall_seconds=4.0,
        per_epoch=[EpochRecord(s, 0.1, accuracy, 59_968, 0.1) for s, accuracy in EPOCHS],
    )
    made = msgspec.structs.replace(base, **changes)
    job = f"{made.model}-b{made.batch_size}-{backend}-{mode}-{made.device}"
    return msgspec.structs.replace(made, trial=f"{job}-r{made.repeat}")


def repeated(backend, mode, throughputs, **changes):
    return [
        trial(backend, mode, repeat, throughput_images_per_second=value, **changes)
        for repeat, value in enumerate(throughputs, start=1)
    ]


def failed(backend="torch", mode="compile", outcome="timeout", reason="too slow", **changes):
    return trial(
        backend,
        mode,
        changes.pop("repeat", 1),
        outcome=outcome,
        reason=reason,
        per_epoch=[],
        **{
            name: None
            for name in TrialRecord.__struct_fields__
            if name.endswith(("_seconds", "_bytes"))
            or name in ("throughput_images_per_second", "test_accuracy", "final_train_loss")
        },
        **changes,
    )


def store(folder: Path, trials, **changes) -> Path:
    """The run folder of the trials."""
    folder.mkdir()
    manifest = msgspec.structs.replace(MANIFEST, **changes)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in trials)
    (folder / "trials.jsonl").write_bytes(lines)
    return folder


# Medians 200,000, 100,000 (one of three failed) and 50,000; the ranges do not touch.
TRIALS = [
    *repeated("jax", "scan", [190_000.0, 200_000.0, 230_000.0], framework_version="0.10.2"),
    *repeated("torch", "eager", [90_000.0, 110_000.0]),
    failed("torch", "eager", "crashed", "killed by\n\x1b[31mSIGSEGV", repeat=3),
    *repeated("numpy", "default", [50_000.0], device_peak_memory_bytes=None),
    failed("torch", "compile", "timeout", "<b>not done</b> | after 600 s & more"),
]
NASTY = "<script>alert(1)</script> |$x_1$ `@me` 模型"


def certificate(passed=True):
    check = Check("logits", 2e-5 if passed else 0.5, 1e-4, "" if passed else "1.dense")
    return Certificate(
        backend="torch",
        framework_version="1.0",
        mode="eager",
        device="cpu",
        model="mlp",
        precision="float32",
        checks=(check,),
        seconds=1.0,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report with something in every section: its folder and what `write_report` returned."""
    folder = store(
        tmp_path_factory.mktemp("runs") / "the-run",
        [*TRIALS, *repeated("torch", "eager", [4_000.0, 5_000.0], model=NASTY)],
        missing=[Missing("tensorflow", "python -m pip install 'tensorflow>=2.21'")],
        notes=["A note & more."],
        plan=[PlannedTrial("mlp-lost-r9", "torch", "eager", "cpu", "mlp", 64, 0, 9)],
        command="python -m bench run --models 'a<b'",
    )
    certificates = msgspec.json.encode([certificate(), certificate(passed=False)])
    (folder / "certificates.json").write_bytes(certificates)
    return folder, write_report([folder])


@pytest.fixture(scope="module")
def html(written):
    return (written[0] / "report.html").read_text()


@pytest.fixture(scope="module")
def markdown(written):
    return (written[0] / "report.md").read_text()


def only(records):
    (ranking,) = rankings_of_records(records)
    return ranking


# Numbers


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (fixed(2), 1234.567, "1,234.57"),
        (fixed(2), 0.004, "<0.01"),
        (fixed(2), 0.0, "0.00"),
        (fixed(2, 100), 0.97534, "97.53"),
        (significant(4), 412_345.6, "412,300"),
        (significant(4), 190.34, "190.3"),
        (significant(3), 0.01234, "0.0123"),
        (significant(3), 99.96, "100"),
        (significant(3), 0.0, "0"),
    ],
)
def test_numbers_are_written_as_precisely_as_they_are_known(write, value, text):
    assert write(value) == text


def test_what_is_not_known_is_a_dash():
    assert [shown(value, fixed(2)) for value in (None, math.nan, math.inf)] == ["–"] * 3  # noqa: RUF001


def test_text_is_brought_to_one_printable_line():
    assert plain(" a\n\x1b[31m b\u202e ") == "a [31m b"
    assert shortened("abcdef", 4) == "abc…"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_derived_metrics_are_known_only_when_their_parts_are():
    assert FIRST_STEP.of(trial()) == 1.9375
    assert FIRST_STEP.of(trial(build_seconds=None)) is None
    assert MEMORY_ABOVE_BASELINE.of(trial()) == 200 * 2**20
    assert MEMORY_ABOVE_BASELINE.of(trial(baseline_memory_bytes=None)) is None


def test_metrics_have_keys_of_their_own():
    assert max(Counter(metric.key for metric in METRICS).values()) == 1


# Rankings


def test_a_contender_is_the_median_and_range_of_its_trials_that_ended_well():
    best, second, third = only(TRIALS).contenders
    assert (best.label, second.label, third.label) == ("jax scan", "torch eager", "numpy default")
    spread = best[THROUGHPUT]
    assert (spread.median, spread.minimum, spread.maximum) == (200_000, 190_000, 230_000)
    assert second[THROUGHPUT].median == 100_000
    assert [(c.repeats, c.attempted) for c in (best, second, third)] == [(3, 3), (2, 3), (1, 1)]
    assert [c.relative for c in (best, second, third)] == [1.0, 0.5, 0.25]


def test_curves_are_medians_over_cumulative_seconds():
    slow = [EpochRecord(2 * s, 0.1, a - 0.01, 59_968, 0.1) for s, a in EPOCHS]
    (contender,) = only([trial(), trial(repeat=2, per_epoch=slow)]).contenders
    assert contender.curve.seconds == pytest.approx((0.75, 1.125, 1.5))
    assert contender.curve.accuracies == pytest.approx((0.925, 0.955, 0.97))
    assert contender.trial_curves[1].seconds == pytest.approx((1.0, 1.5, 2.0))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("batch_size", 128, "batch size 128"),
        ("precision", "float64", "float64"),
        ("threads", 1, "1 thread"),
        ("epochs", 1, "1 epoch"),
        ("train_samples", 1000, "1,000 examples"),
        ("dataset", "kmnist", "kmnist"),
        ("machine", "elsewhere", "machine elsewhere"),
        ("device", "gpu:0", "mlp on gpu:0"),
        ("model", "cnn", "cnn on cpu"),
    ],
)
def test_unlike_trials_are_never_in_one_ranking(field, value, words):
    rankings = rankings_of_records([trial(), trial("jax", "jit", **{field: value})])
    assert [len(ranking.contenders) for ranking in rankings] == [1, 1]
    assert [words in ranking.title for ranking in rankings].count(True) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": Adam()},
        {"models": {"mlp": ModelFacts(sequential(Flatten(), Dense(11)), 1, 1)}},
        {"machine": msgspec.structs.replace(MACHINE, cpu_model="another")},
    ],
)
def test_runs_that_differ_in_spec_or_machine_are_ranked_apart(tmp_path, changes):
    folders = [store(tmp_path / "a", [trial()]), store(tmp_path / "b", [trial()], **changes)]
    titles = [ranking.title for ranking in rankings_of(read_sources(folders))]
    assert len(set(titles)) == 2


def test_runs_of_one_machine_are_ranked_together_by_run_and_version(tmp_path):
    first = store(tmp_path / "a", [trial()])
    second = store(tmp_path / "b", [trial(framework_version="2.0"), trial("jax", "jit")])
    (ranking,) = rankings_of(read_sources([first, second, first]))
    labels = {contender.label for contender in ranking.contenders}
    assert labels == {"torch eager 1.0 (a)", "torch eager 2.0 (b)", "jax jit"}


def test_a_contender_that_does_other_work_has_no_rank_and_sets_no_mark():
    other = repeated("torch", "compile", [900_000.0], equivalence="failed")
    ranking = only([*TRIALS, *other])
    assert [c.label for c in ranking.incomparable] == ["torch compile"]
    assert ranking.contenders[0].relative == 1.0
    assert math.isnan(ranking.incomparable[0].relative)
    assert ("Not comparable", "torch compile") in facts(ranking)


# The answer


def test_the_answer_names_the_fastest_its_lead_and_its_range():
    ranking = only(TRIALS)
    assert lead(ranking) == "jax scan: 200,000 images/s"
    assert sentence(ranking) == (
        "jax scan was fastest: median 200,000 images/s (190,000–230,000 over 3 trials), "  # noqa: RUF001
        "2.00 times the next, torch eager (100,000); its range overlaps no other."
    )
    assert dict(facts(ranking))["Trials not measured"] == "1 crashed and 1 timeout"


def test_ranges_that_touch_are_too_close_to_call():
    ranking = only([*TRIALS, *repeated("torch", "xla", [170_000.0, 190_000.0])])
    assert lead(ranking) == "Too close to call: jax scan and torch xla"
    assert "jax scan had the highest median" in sentence(ranking)


def test_a_single_trial_is_said_to_have_no_spread():
    ranking = only([trial(), trial("jax", "jit", throughput_images_per_second=1.0)])
    assert "a single trial of torch eager and jax jit the spread is not known" in sentence(ranking)


def test_one_contender_is_not_compared():
    assert "torch eager was the only contender" in sentence(only([trial()]))


# The documents


class Reader(HTMLParser):
    """Collects what a checker of pages asks for."""

    VOID = ("meta", "path", "use", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.levels, self.ids = [], Counter(), [], [], Counter()
        self.scopes, self.text = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.tags[tag] += 1
        self.links += [attributes[name] for name in ("src", "href", "data") if name in attributes]
        self.ids.update([attributes["id"]] if "id" in attributes else [])
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.scopes += [attributes.get("scope")] if tag == "th" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, pairs):
        self.handle_starttag(tag, pairs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_well_formed_and_accessible(html):
    page = Reader(html)
    assert page.open == []
    assert '<html lang="en">' in html
    assert set(page.scopes) == {"col", "row"}
    assert page.levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(page.levels, page.levels[1:]))
    assert page.ids.most_common(1)[0][1] == 1
    assert page.tags["svg"] == page.tags["figcaption"] == html.count('role="img" aria-label="') == 8
    assert all(link[1:] in page.ids for link in page.links)


def test_the_page_loads_nothing_and_runs_nothing(html):
    page = Reader(html)
    assert page.tags["script"] == page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?:|@import|url\((?!#)", html)


def test_the_page_shows_the_records_text_escaped(html):
    assert "<script" not in html
    assert "<b>" not in html
    said = " ".join(Reader(html).text)
    for words in (
        NASTY,
        "<b>not done</b> | after 600 s & more",
        "killed by [31mSIGSEGV",
        "python -m bench run --models 'a<b'",
        "python -m pip install 'tensorflow>=2.21'",
        "A note & more.",
        "mlp-lost-r9",
        "AMD EPYC 7763",
        "1 of 2 certificates passed",
        "50,000 %",
        "109,184",
    ):
        assert words in said


def test_figures_follow_the_page_into_the_dark(html):
    inlined = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--ink)" in inlined
    assert "var(--surface)" in inlined
    assert "<style" not in inlined


def test_what_is_not_known_is_never_nought(tmp_path):
    unknown = {
        name: None
        for name in ("device_peak_memory_bytes", "compile_seconds", "baseline_memory_bytes")
    }
    folder = store(tmp_path / "run", [trial(**unknown)])
    write_report([folder], tmp_path)
    lines = [line for line in (tmp_path / "report.md").read_text().splitlines() if "eager" in line]
    memory, phases = (
        next(line for line in lines if line.count("|") == columns + 1 and start in line)
        for columns, start in ((6, "| 300 |"), (8, "1.50"))
    )
    cells = [cell.strip() for cell in memory.strip("|").split("|")]
    assert cells == ["torch eager", "300", "–", "–", "–", "–"]  # noqa: RUF001
    cells = [cell.strip() for cell in phases.strip("|").split("|")]
    assert cells == ["torch eager", "1.50", "0.25", "0.12", "–", "1.00", "0.30", "–"]  # noqa: RUF001
