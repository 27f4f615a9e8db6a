"""The commands: what they print, what they write, and their exit statuses.

In the test's process and with scripted workers, except for the tests marked `process`.
"""

import json
import sys

import pytest

from bench.run import admission
from bench.run.decode import Seconds, decode_option
from bench.run.request import MatrixOptions

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.mark.process
def test_a_run_measures_records_and_reports(bench, tiny, tmp_path):
    output = tmp_path / "out"
    options = ["--backends", "numpy,fake", "--repeats", "2", "--rounds", "2"]
    done = bench.run("run", *tiny, *options, "--output", output)
    assert done.returncode == 0, done.stderr
    trials = [json.loads(line) for line in (output / "trials.jsonl").read_text().splitlines()]
    assert [trial["outcome"] for trial in trials] == ["ok"] * 4
    assert [trial["repeat"] for trial in trials] == [1, 1, 2, 2]
    assert {trial["equivalence"] for trial in trials if trial["job"]["backend"] == "numpy"} == {
        "passed"
    }
    assert {trial["equivalence"] for trial in trials if trial["job"]["backend"] == "fake"} == {
        "failed"
    }
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["command"].startswith("python -m bench run")
    assert manifest["verified"] is True
    assert manifest["models"]["tiny"]["layer"]["kind"] == "sequential"
    assert {"report.html", "report.md", "results.csv", "certificates.json"} <= {
        path.name for path in output.iterdir()
    }
    assert "[4/4]" in done.stderr
    assert "report.html" in done.stderr
    assert "numpy" in done.stdout
    assert "images/s" in done.stdout


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--version"], 0, ""),
        (["run", "--epochs", "0"], 2, "expected a whole number from 1 to 100,000"),
        (["run", "--backends", "nunpy"], 2, "did you mean numpy?"),
    ],
)
def test_a_process_exits_with_the_status_of_its_command(bench, options, status, says):
    done = bench.run(*options)
    assert done.returncode == status
    assert says in done.stderr


def test_a_run_without_certificates_is_reported_as_not_checked(bench, tiny, tmp_path):
    output = tmp_path / "out"
    options = ["--backends", "numpy", "--repeats", "1", "--no-verify", "--output", str(output)]
    done = bench("run", *tiny, *options)
    assert done.returncode == 0
    (line,) = (output / "trials.jsonl").read_text().splitlines()
    assert json.loads(line)["equivalence"] == "not checked"
    assert not (output / "certificates.json").exists()
    assert "not checked" in (output / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--backends", "fake", "--modes", "works,raises"], 1),
        (["--backends", "fake", "--modes", "raises"], 3),
        (["--backends", "broken"], 3),
    ],
)
def test_the_exit_status_depends_on_how_many_contenders_were_measured(
    bench, tiny, tmp_path, options, status
):
    output = ["--output", str(tmp_path / "out"), "--repeats", "1", "--no-verify"]
    done = bench("run", *tiny, *options, *output)
    assert done.returncode == status
    assert (tmp_path / "out" / "report.html").exists()


def test_quiet_prints_nothing(bench, tiny, tmp_path):
    options = ["--backends", "numpy", "--repeats", "1", "--quiet", "--output", str(tmp_path / "o")]
    done = bench("run", *tiny, *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_dry_run_prints_the_plan_and_leaves_nothing(bench, tiny, tmp_path):
    options = ["--backends", "fake,numpy", "--modes", "all", "--repeats", "2", "--dry-run"]
    done = bench("run", *tiny, *options, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("numpy") == 2
    assert done.stdout.count("killed_for_memory") == 2
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_shows_the_cohorts_that_fit_into_memory(bench, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["run", *tiny, "--backends", "fake,numpy", "--repeats", "1"]
    assert "all 2 contenders take turns together" in bench(*options, "--dry-run").stdout
    bench(*options)
    assert "all 2 contenders take turns together" in bench(*options, "--dry-run").stdout
    monkeypatch.setattr(admission, "available_memory", lambda: 3 * 2**25)  # each needs 2**26
    assert "memory is enough for cohorts" in bench(*options, "--dry-run").stdout


def test_the_default_output_is_a_time_under_runs(bench, tiny, tmp_path):
    done = bench("run", *tiny, "--backends", "numpy", "--repeats", "1", cwd=tmp_path)
    assert done.returncode == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("Z")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--backends", "nunpy"], "unknown backend 'nunpy': expected some of numpy, torch"),
        (["--backends", "nunpy"], "did you mean numpy?"),
        (["--backends", ""], "received no backend"),
        (["--modes", "wroks"], "did you mean works?"),
        (["--backends", "numpy", "--modes", "scan"], "unknown mode 'scan'"),
        (["--devices", "tpu"], "unknown device 'tpu'"),
        (["--batch-sizes", "64,x"], "expected whole numbers of 1 or more"),
        (["--batch-sizes", "65"], "batch size 65 is larger than the 64 training examples"),
        (["--train-samples", "9999"], "expected at most 64"),
        (["--epochs", "0"], "--epochs cannot be '0': expected a whole number from 1 to 100,000"),
        (["--timeout", "soon"], "expected a time above 0 like 90s"),
        (["--threads", "4096"], "expected at most"),
        (["--nesterov", "--momentum", "0"], "--nesterov needs a momentum above 0"),
        (["--models", "mpl"], "mlp"),
        (["--models", "models.py:wide"], "expected (3,): one logit for each class"),
        (["--models", "models.py:deep"], "put Flatten or GlobalAvgPool before Dense"),
        (["--models", "models.py:broken"], "no such luck"),
        (["--models", "models.py:absent"], "absent"),
        (["--models", "vgg16"], "vgg16 does not fit the 6 x 5 x 1 images"),
        (["--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_invalid_input_is_reported_in_one_message(bench, tiny, tmp_path, options, says):
    done = bench("run", *tiny, *options, "--output", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_with_a_run_is_rejected(bench, tiny, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "trials.jsonl").write_text("precious")
    done = bench("run", *tiny, "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    assert (tmp_path / "out" / "trials.jsonl").read_text() == "precious"


def test_list_backends_shows_every_backend(bench, plugin):
    done = bench("list", "backends")
    assert done.returncode == 0
    for name in ("numpy", "torch", "tensorflow", "jax", "fake"):
        assert name in done.stdout


def test_list_models_shows_their_sizes(bench):
    done = bench("list", "models")
    assert done.returncode == 0
    assert "109,386" in done.stdout
    assert "4,241,152" in done.stdout


def test_reports_are_written_for_one_run_and_for_several(bench, make, tmp_path):
    folders = [make.store(tmp_path / name, make.TRIALS) for name in ("one", "two")]
    assert bench("report", str(folders[0])).returncode == 0
    assert (folders[0] / "report.html").exists()
    names = [str(folder) for folder in folders]
    both = bench("report", *names)
    assert both.returncode == 2
    assert "--output" in both.stderr
    assert bench("report", *names, "--output", str(tmp_path / "both")).returncode == 0
    assert (tmp_path / "both" / "report.html").exists()


def test_a_folder_without_a_run_has_no_report(bench, tmp_path):
    done = bench("report", str(tmp_path))
    assert done.returncode == 2
    assert "manifest.json" in done.stderr


def test_verify_passes_numpy_and_fails_the_fake(bench, plugin):
    done = bench("verify", "--backends", "numpy", "--models", "mlp")
    assert done.returncode == 0, done.stderr
    assert "pass" in done.stdout
    done = bench("verify", "--backends", "numpy,fake", "--models", "mlp")
    assert done.returncode == 1
    assert "2 of 4 certificates passed" in done.stderr
    assert "FAIL: logits in inference" in done.stdout


def test_verify_reports_a_framework_that_cannot_be_imported(bench, plugin):
    done = bench("verify", "--backends", "broken")
    assert done.returncode == 1
    assert "not_there" in done.stdout


def test_verify_reports_a_backend_that_is_not_installed(bench, plugin):
    done = bench("verify", "--backends", "absent,numpy", "--models", "mlp")
    assert done.returncode == 1
    assert "not installed; install it with: python -m pip install 'evenbench-absent>=1'" in (
        done.stdout
    )
    alone = bench("verify", "--backends", "absent", "--models", "mlp")
    assert alone.returncode == 3


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)]
)
def test_durations_are_parsed(text, seconds):
    assert Seconds.parse(text) == seconds


def test_duplicate_counts_are_dropped():
    assert decode_option(MatrixOptions, "batch_sizes", "64, 32,64") == [64, 32]


def test_a_cluster_without_ray_is_rejected_with_the_command_that_installs_it(
    bench, tiny, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    done = bench("run", *tiny, "--cluster", "auto")
    assert done.returncode == 2
    assert "python -m pip install 'evenbench[ray]'" in done.stderr


def test_node_options_need_a_cluster(bench, tiny):
    for option in (["--nodes", "each"], ["--accelerator-type", "H100"]):
        done = bench("run", *tiny, *option)
        assert done.returncode == 2
        assert f"{option[0]} needs --cluster" in done.stderr
