"""The report's other formats, read by the programs that they are for."""

import base64
import gzip
import json
import re
import subprocess
import sys

import pytest

from reports import write_report
from reports.exports.latex import escape
from reports.exports.registry import MOST_PAIRED_IN_PAGE

NAMES = ("json", "latex", "pytest-benchmark", "mllog")
HOSTILE = r"\input{a} & 5% _x_ $y$ <b>"


@pytest.fixture(scope="module")
def folder(make, tmp_path_factory):
    """Write a run and its report in every single-file format that needs no other package."""
    hostile = make.repeated("torch", "eager", [4_000.0, 5_000.0], model=HOSTILE)
    made = make.store(tmp_path_factory.mktemp("runs") / "run", [*make.TRIALS, *hostile])
    write_report([made], formats=NAMES)
    return made


def test_json_contains_rankings_and_trials(folder):
    read = json.loads((folder / "results.json").read_text())
    (mlp,) = (ranking for ranking in read["rankings"] if ranking["choices"]["model"] == "mlp")
    first = mlp["contenders"][0]
    assert first["label"] == "jax scan"
    assert first["rank"] == [1, 3]
    throughput = first["values"]["throughput_images_per_second"]
    assert throughput == [pytest.approx((190_000 * 200_000) ** 0.5), 190_000, 230_000]
    assert first["values"]["device_peak_memory_bytes"] is None
    assert len(read["trials"]) == 10
    assert not any("environment" in trial for trial in read["trials"])
    known, *unknown = mlp["pairs"]
    assert (known["one"], known["other"], known["verdict"]) == (
        *("jax scan", "torch eager", "undecided"),
    )
    assert known["low"] < 1 < known["ratio"] < known["high"]
    assert known["repeats_needed"] == 3
    assert [(pair["low"], pair["high"], pair["repeats_needed"]) for pair in unknown] == [
        (None, None, None)
    ] * 2


def test_json_has_the_pairs_of_all_contenders_but_the_page_of_the_first_only(make, tmp_path):
    many = [
        each
        for number in range(MOST_PAIRED_IN_PAGE + 1)
        for each in make.repeated("torch", f"m{number}", [1.0 + number, 1.01 + number])
    ]
    folder = make.store(tmp_path / "run", many)
    write_report([folder], formats=["json", "html"])
    page = (folder / "report.html").read_text()
    packed = re.search(r'id="packed-2">(.*?)</script>', page, re.DOTALL)[1]
    texts = (folder / "results.json").read_bytes(), gzip.decompress(base64.b64decode(packed))
    (whole,), (paged,) = (json.loads(text)["rankings"] for text in texts)
    assert len(whole["pairs"]) == 51 * 50 / 2
    assert paged["pairs"] == [
        pair for pair in whole["pairs"] if {"torch m0"}.isdisjoint({pair["one"], pair["other"]})
    ]
    assert {pair["verdict"] for pair in whole["pairs"]} == {"faster"}


def test_parquet_has_the_columns_of_the_csv_with_types(make, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    folder = make.store(tmp_path / "run", make.TRIALS)
    write_report([folder], formats=["parquet", "csv"])
    table = parquet.read_table(folder / "results.parquet")
    header = (folder / "results.csv").read_text().splitlines()[0].split(",")
    assert table.column_names == header
    assert table.num_rows == len(make.TRIALS)
    assert table.column("throughput_images_per_second").to_pylist()[:2] == [190_000, 200_000]
    assert table.column("compile_seconds").null_count == 2
    assert str(table.schema.field("peak_memory_bytes").type) == "int64"


def test_latex_shows_the_records_text_and_executes_none_of_it(folder):
    assert escape(HOSTILE) == (
        r"\textbackslash{}input\{a\} \& 5\% \_x\_ \$y\$ \textless{}b\textgreater{}"
    )
    text = (folder / "results.tex").read_text()
    assert r"jax scan & 194,900 & 152,500--249,200 & 97.50 & 300 & 1.94 & 3 \\" in text
    assert escape(HOSTILE) in text
    assert HOSTILE not in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2


@pytest.mark.process
def test_pytest_benchmark_compares_the_contenders(folder, tmp_path):
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
    file = folder / "pytest-benchmark.json"
    columns = "--columns=min,max,mean,stddev,median,iqr,outliers,ops,rounds,iterations"
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(file), columns]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "train_step[jax scan]" in done.stdout
    assert "benchmark 'mlp on cpu': 3 tests" in done.stdout
    (found,) = (
        item for item in json.loads(file.read_text())["benchmarks"] if "jax" in item["name"]
    )
    assert found["stats"]["median"] == pytest.approx(64 / 200_000)
    assert found["stats"]["rounds"] == 3


def test_mllog_has_the_events_of_each_trial_from_start_to_end(folder):
    lines = (folder / "mllog.txt").read_text().splitlines()
    assert all(line.startswith(":::MLLOG {") for line in lines)
    events = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    own = [event for event in events if event["metadata"]["trial"] == "mlp-b64-jax-scan-cpu-r1"]
    times = [event["time_ms"] for event in own]
    assert times == sorted(times)
    assert [event["key"] for event in own].count("epoch_start") == 3
    (first, *_, last) = (event["value"] for event in own if event["key"] == "eval_accuracy")
    assert (first, last) == (0.93, 0.975)
    stop = {e["metadata"]["status"] for e in events if e["key"] == "run_stop"}
    assert stop == {"success", "failed"}
    # 1.9375 s of phases are between the two starts.
    started = {event["key"]: event["time_ms"] for event in own}
    assert started["run_start"] - started["init_start"] == pytest.approx(1937.5, abs=1)


def test_export_writes_only_the_requested_format(bench, make, tmp_path):
    folder = make.store(tmp_path / "run", make.TRIALS)
    before = sorted(folder.iterdir())
    done = bench("report", str(folder), "--export", "-", "--format", "markdown")
    assert done.returncode == 0
    assert done.stdout.startswith("# jax, numpy and torch on mnist")
    done = bench("report", str(folder), "--export", str(tmp_path / "a" / "b.csv"))
    assert (tmp_path / "a" / "b.csv").read_text().startswith("run,schema_version")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--export", "-"], "needs --format"),
        (["--export", "a.docx"], "needs --format"),
        (["--export", "-", "--format", "csv,json"], "--export writes one file"),
        (["--export", "-", "--format", "figures"], "--export writes one file"),
        (["--export", "a.csv", "--output", "b"], "--export cannot be combined with --output"),
        (["--format", "cvs"], "did you mean csv?"),
    ],
)
def test_an_invalid_format_is_reported_in_one_message(bench, make, tmp_path, options, says):
    folder = make.store(tmp_path / "run", [])
    done = bench("report", str(folder), *options)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
