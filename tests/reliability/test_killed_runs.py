"""Kill a runner at fifty random moments: printed results are stored, the rest is resumed."""

import json
import random
import re
import signal
import time
from typing import NamedTuple

import pytest
from support.processes import none_left

from bench.records.reader import read_run


class Way(NamedTuple):
    """A way to measure.

    Attributes:
        options: of the run.
        kills: number of moments; fifty in total.
        longest: seconds before a kill; an idle machine completes most of a run in less.
    """

    options: list[str]
    kills: int
    longest: float


ONE_BY_ONE = Way(["--rounds", "0", "--repeats", "2"], 30, 3.5)
# A contender without another one to compare with has three repeats.
IN_ROUNDS = Way(["--rounds", "1", "--time", "2m"], 20, 6.0)


def run_until_killed(bench, out, moment, way):
    """Start or resume the run and kill it after `moment` seconds; return output and status."""
    with (bench.folder / "shown.txt").open("w+") as shown:
        process = bench.start("run", *start_or_resume(bench, out, way), stdout=shown, stderr=shown)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        shown.seek(0)
        return shown.read(), process.returncode


@pytest.mark.parametrize("way", [ONE_BY_ONE, IN_ROUNDS], ids=["one by one", "in rounds"])
def test_killed_runs_can_be_resumed_until_complete(bench, way):
    moments = random.Random(1)  # a fixed seed makes the moments reproducible
    number = kills = 0
    while kills < way.kills:
        number += 1
        out = bench.folder / f"out-{number}"
        status = -signal.SIGKILL
        known: dict[str, dict] = {}
        while status != 0 and kills < way.kills:
            text, status = run_until_killed(bench, out, moments.uniform(0, way.longest), way)
            assert "Traceback" not in text
            kills += status != 0
            known = check_records(out, text, known)
        if status != 0:
            done = bench.run("run", *start_or_resume(bench, out, way))
            assert done.returncode == 0, done.stderr
        run = read_run(out)
        assert {trial.trial for trial in run.trials} == {each.name for each in run.manifest.plan}
        assert len(run.trials) == (2 if way is ONE_BY_ONE else 3)
        assert {trial.outcome for trial in run.trials} == {"ok"}
        assert (out / "report.html").exists()
    assert none_left(bench.folder)


def start_or_resume(bench, out, way):
    """Return the options to resume the run, or to start it if no manifest was written."""
    if (out / "manifest.json").exists():
        return ["--resume", out]
    return [*bench.quick, "--backends", "fake", *way.options, "--output", out]


def check_records(out, text, known):
    """Check that printed results are stored and earlier records unchanged; return all records."""
    if not (out / "trials.jsonl").exists():
        assert not re.search(r"^\[\d", text, re.MULTILINE)
        return known
    whole = (out / "trials.jsonl").read_bytes().rpartition(b"\n")[0]
    found = {record["trial"]: record for record in map(json.loads, whole.splitlines())}
    shown = re.findall(r"^\[\d+/\d+\] .*repeat (\d+): ", text, re.MULTILINE)
    assert {int(repeat) for repeat in shown} <= {record["repeat"] for record in found.values()}
    assert all(found[name] == record for name, record in known.items())
    return found
