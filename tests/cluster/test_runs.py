"""Whole runs over the nodes of a cluster."""

import json

from support.commands import records

from bench.reading import read_run


def test_the_nodes_share_a_plan_and_give_every_record(command, nodes, out):
    options = [*command.quick, "--batch-sizes", "8,16,32", "--backends", "numpy,fake"]
    done = command.run(
        "run", *options, "--repeats", "2", "--cluster", nodes.address, "--output", out
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    run = read_run(out)
    assert len(run.trials) == 12
    assert {trial.trial for trial in run.trials} == {each.trial for each in run.manifest.plan}
    print(json.dumps(records(out)[0], indent=1))
