"""Untrusted run folders: nothing is executed, and no symbolic link is followed."""

import ast
import os

import msgspec
import pytest
from support.places import ROOT

from bench.errors import RecordError
from bench.records.reader import LARGEST_FILE, read_run
from bench.records.writer import RunFolder
from reports import write_report

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    '=HYPERLINK("http://evil")',
    "../../../../escaped",
    "$\\frac{1}{2$ %s {0} {{x}} {% x %}",
    "\u202e\x1b[31m\x00",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_shown_as_text(make, tmp_path, payload):
    texts = {"backend": payload, "mode": payload, "model": payload, "dataset": payload}
    good = make.trial(**texts, reason=payload, machine=payload, versions={payload: payload})
    bad = make.failed(**texts, outcome="failed", reason=payload, log=payload)
    machine = msgspec.structs.replace(make.MACHINE, hostname=payload, cpu_model=payload)
    inside = tmp_path / "inside"
    inside.mkdir()
    folder = make.store(
        inside / "run", [good, bad], command=payload, notes=[payload], machine=machine
    )
    before = set(tmp_path.rglob("*"))
    write_report([folder])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    for line in (folder / "results.csv").read_text(encoding="utf-8").splitlines():
        assert not any(cell.startswith(("=", '"=')) for cell in line.split(","))
    made = set(tmp_path.rglob("*")) - before
    assert all(folder in path.parents for path in made)


def test_a_report_replaces_a_link_without_following_it(make, tmp_path):
    folder = make.store(tmp_path / "run", [make.trial()])
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("report.html", "results.csv", ".report.html.partial"):
        (folder / name).symlink_to(precious)
    write_report([folder])
    assert precious.read_text() == "mine"
    assert not (folder / "report.html").is_symlink()


@pytest.mark.parametrize("name", [".lock", "trials.jsonl"])
def test_resuming_does_not_follow_a_link(make, tmp_path, name):
    folder = make.store(tmp_path / "run", [make.trial()])
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(precious)
    with pytest.raises(RecordError, match="cannot be written"):
        RunFolder.reopen(folder)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("name", ["manifest.json", "trials.jsonl", "certificates.json"])
def test_a_pipe_or_device_is_rejected_without_reading_it(make, tmp_path, name):
    folder = make.store(tmp_path / "run", [make.trial()])
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(RecordError, match="not a regular file"):
        read_run(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(RecordError, match="not a regular file"):
        read_run(folder)


def test_a_huge_file_is_rejected_without_reading_it(make, tmp_path):
    folder = make.store(tmp_path / "run", [make.trial()])
    with (folder / "trials.jsonl").open("ab") as file:
        file.truncate(2**40)  # sparse: it occupies no disk space
    with pytest.raises(RecordError, match="expected at most"):
        read_run(folder)


def test_a_line_longer_than_any_record_is_rejected(make, tmp_path):
    folder = make.store(tmp_path / "run", [make.trial()])
    with (folder / "trials.jsonl").open("ab") as file:
        file.truncate(LARGEST_FILE)  # sparse zeros without a newline
    with pytest.raises(RecordError, match=r"trials\.jsonl: a line has more than"):
        read_run(folder)


def test_an_unreadable_newer_manifest_is_rejected_for_its_version(make, tmp_path):
    folder = make.store(tmp_path / "run", [])
    (folder / "manifest.json").write_text('{"schema_version": 7, "all": "new"}')
    with pytest.raises(RecordError, match="received schema version 7, expected 2"):
        read_run(folder)


def test_deep_nesting_is_rejected(make, tmp_path):
    folder = make.store(tmp_path / "run", [])
    (folder / "trials.jsonl").write_text('{"a":' * 100_000 + "\n")
    with pytest.raises(RecordError, match="line 1"):
        read_run(folder)


def test_no_module_can_execute_data_that_it_reads():
    """Search the source for pickle, eval and the like."""
    banned = {"pickle", "marshal", "shelve", "dill", "joblib", "yaml"}
    for path in [*ROOT.glob("bench/**/*.py"), *ROOT.glob("reports/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & banned, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in banned, path
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path
