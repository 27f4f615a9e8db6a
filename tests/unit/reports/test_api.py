"""The Python API: what it loads, the columns that docs/python-api.md states, and its examples."""

import inspect
import re
import subprocess
import sys

import msgspec
import pandas as pd
import pytest
from support.places import ROOT

import bench
from bench.errors import UserError
from bench.records.trial import TrialRecord
from bench.verification.certificate import Certificate, Check
from reports.analysis.trials import trial_fields
from reports.api import CERTIFICATE_COLUMNS, PAIR_COLUMNS, ranking_columns
from reports.metrics import METRICS

PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")


@pytest.fixture
def run(make, tmp_path):
    folder = make.store(tmp_path / "run", make.TRIALS)
    checks = (Check("loss", 1e-7, 1e-4), Check("gradients", 0.5, 1e-4, "layer 1"))
    certificates = [
        Certificate(
            job=make.TRIALS[0].job.certified(),
            framework_version="1.0",
            checks=its_checks,
            seconds=0.5,
            error=error,
        )
        for its_checks, error in ((checks, ""), ((), "unsupported: convolution"))
    ]
    (folder / "certificates.json").write_bytes(msgspec.json.encode(certificates))
    return bench.load(folder)


def test_trials_have_one_row_each_with_the_values_of_the_records(make, run):
    trials = run.trials
    assert len(trials) == len(make.TRIALS)
    assert trials["backend"].tolist() == [record.job.backend for record in make.TRIALS]
    assert trials["threads"].tolist() == [record.threads for record in make.TRIALS]
    assert trials["throughput_images_per_second"].isna().sum() == 2
    assert trials["peak_memory_bytes"].dropna().unique().tolist() == [300 * 2**20]
    assert set(trials["run"]) == {"run"}


def test_rankings_have_one_row_per_contender(run):
    rankings = run.rankings
    assert rankings["contender"].tolist() == ["jax scan", "torch eager", "numpy default"]
    # A single trial has no rank.
    assert rankings["rank_low"].fillna(0).tolist() == [1, 1, 0]
    assert rankings["rank_high"].fillna(0).tolist() == [3, 3, 0]
    assert rankings["repeats"].tolist() == [3, 2, 1]
    assert rankings["attempted"].tolist() == [3, 3, 1]
    assert rankings["throughput_images_per_second"].tolist() == pytest.approx(
        [194_936, 99_499, 53_251], rel=1e-5
    )
    first, second, third = rankings.itertuples()
    assert (
        first.throughput_images_per_second_low
        < first.throughput_images_per_second
        < first.throughput_images_per_second_high
    )
    assert first.ratio_to_first == 1
    assert second.ratio_to_first_low < second.ratio_to_first < second.ratio_to_first_high
    assert pd.isna(third.ratio_to_first_low)


def test_pairs_have_one_row_each_with_the_verdict(run):
    pairs = run.pairs
    assert pairs.columns.tolist() == PAIR_COLUMNS
    assert pairs[["one", "other"]].to_numpy().tolist() == [
        ["jax scan", "torch eager"],
        ["jax scan", "numpy default"],
        ["torch eager", "numpy default"],
    ]
    assert set(pairs["verdict"]) == {"undecided"}
    assert pairs["low"].isna().tolist() == pairs["high"].isna().tolist() == [False, True, True]
    assert pairs["repeats_needed"].fillna(0).tolist() == [3, 0, 0]
    assert pairs["ratio"][0] == pytest.approx(run.rankings["ratio_to_first"][1] ** -1)
    assert set(pairs["title"]) == set(run.rankings["title"])


def test_certificates_have_one_row_per_check(run):
    certificates = run.certificates
    assert certificates["check"].fillna("").tolist() == ["loss", "gradients", ""]
    assert certificates["check_passed"].fillna(False).tolist() == [True, False, False]
    assert certificates["passed"].tolist() == [False, False, False]
    assert certificates["error"].tolist() == ["", "", "unsupported: convolution"]
    assert certificates["where"].tolist()[1] == "layer 1"


def test_a_run_without_trials_has_empty_tables_with_all_columns(make, tmp_path):
    run = bench.load(make.store(tmp_path / "empty", []))
    assert run.rankings.columns.tolist() == ranking_columns()
    assert run.pairs.columns.tolist() == PAIR_COLUMNS
    assert run.certificates.columns.tolist() == CERTIFICATE_COLUMNS
    assert run.trials.empty
    assert run.rankings.empty


def test_a_folder_without_a_run_is_an_error_for_the_user(tmp_path):
    with pytest.raises(UserError, match=r"manifest\.json"):
        bench.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epoch": 3}, "epoch does not exist"), ({"epochs": 0}, "epochs"), ({"hosts": 2}, "cluster")],
)
def test_an_invalid_option_is_an_error_for_the_user(options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        bench.run(**options, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.process
def test_the_package_loads_nothing_until_it_is_used():
    code = "import sys, bench; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    assert "bench" in loaded
    assert not {"numpy", "pandas", "msgspec", "click", "reports"} & set(loaded)


def test_importing_a_module_of_the_package_run_leaves_it_callable():
    import bench.run.request

    assert callable(bench.run)


def _descriptions(kind):
    """The meaning of each field, from the `Attributes:` of the struct's docstring."""
    # Python 3.13 removes the indentation itself.
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2]
    entries = re.split(r"\n {4}(?=\w+:)", section)[1:]
    pairs = (entry.partition(":") for entry in entries)
    return {name: " ".join(text.split()) for name, _, text in pairs}


def described(path):
    """The meaning of the record's field at the end of a path."""
    kind = TrialRecord
    for step in path[:-1]:
        types = msgspec.inspect.type_info(kind)
        (field,) = (each for each in types.fields if each.name == step)
        options = getattr(field.type, "types", (field.type,))
        (kind,) = (each.cls for each in options if hasattr(each, "cls"))
    return _descriptions(kind)[path[-1]]


def table_of_trials():
    """The table in the page: a row for each column that is read from records."""
    return [f"| `{each.name}` | {each.kind} | {described(each.path)} |" for each in trial_fields()]


def table_of_metrics():
    rows = []
    for metric in METRICS:
        unit = re.search(r"_(seconds|bytes|images_per_second)$", metric.key)
        name = (
            unit[1].replace("_per_", "/").replace("images/second", "images/s") if unit else "none"
        )
        rows.append(f"| `{metric.key}` | {name} | {metric.meaning} |")
    return rows


@pytest.mark.parametrize("table", [table_of_trials, table_of_metrics])
def test_the_page_describes_every_column(table):
    missing = [row for row in table() if row.rpartition("|")[0].rpartition("|")[0] not in PAGE]
    assert not missing, "add to docs/python-api.md:\n" + "\n".join(missing)


def test_the_page_names_every_other_column():
    named = set(re.findall(r"`(\w+)`", PAGE))
    metrics = {f"{metric.key}{end}" for metric in METRICS for end in ("_min", "_max")}
    assert {
        *ranking_columns(),
        *PAIR_COLUMNS,
        *CERTIFICATE_COLUMNS,
        "spec",
        "run",
    } - metrics <= named


@pytest.mark.process
def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(examples) > 4
    namespace = {}
    for example in examples:
        exec(compile(example, "docs/python-api.md", "exec"), namespace)  # noqa: S102
    assert "numpy eager" in capsys.readouterr().out
    assert (tmp_path / "runs" / "first").is_dir()
