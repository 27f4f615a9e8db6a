"""Scheduling of trials on nodes, without a cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.lanes import MOST_MOVES, Lanes, Node, can_do
from bench.run.plan import trials
from bench.spec.job import Job

A, B, C = (Node(key, f"node-{key}", cpus=2, place=f"kind-{key}") for key in "abc")


def job(model="mlp", backend="numpy", device="cpu", place="", hosts=1):
    return Job(model, 64, backend, "default", device, place=place, world_size=hosts, hosts=hosts)


def planned(*jobs, repeats=2):
    return trials(jobs, repeats, seed=0)


def lanes(nodes, *jobs, repeats=2):
    made = Lanes(nodes)
    made.add(planned(*jobs, repeats=repeats))
    return made


def test_all_trials_of_a_ranking_go_to_one_node():
    made = lanes([A, B], job(), job(backend="torch"), job("cnn"), job("cnn", "torch"))
    first, second = made.take(A).trials, made.take(B).trials
    assert len(first) == len(second) == 4
    assert {trial.job.compared_with() for trial in first} == {first[0].job.compared_with()}
    assert {trial.job.backend for trial in first} == {"numpy", "torch"}
    assert first[0].job.model != second[0].job.model
    assert [trial.repeat for trial in first] == [1, 1, 2, 2], "in the order of the plan"


def test_an_idle_node_takes_a_remaining_ranking():
    made = lanes([A], job(), job("cnn"), repeats=1)
    for _ in range(2):
        for trial in made.take(A).trials:
            made.ended(A, trial)
        made.done(A)
    assert made.is_done()
    assert made.take(A).trials == []


def test_a_later_block_goes_to_the_node_of_its_ranking():
    made = lanes([A, B], job(), repeats=1)
    (trial,) = made.take(A).trials
    made.ended(A, trial)
    made.done(A)
    made.add(planned(job(), repeats=1))
    assert made.take(B).trials == []
    assert made.take(A).trials


def test_the_remaining_trials_of_a_lost_node_move_to_another_node():
    made = lanes([A, B], job(), repeats=3)
    first, *rest = made.take(A).trials
    made.ended(A, first)
    assert made.lost(A) is None
    assert made.nodes == [B]
    assert made.take(B).trials == rest
    assert made.moves[rest[0]] == ["node-a"]


def test_a_trial_that_crashes_its_nodes_is_abandoned_and_the_others_continue():
    made = lanes([A, B, C, Node("d", "node-d", 1)], job(), repeats=2)
    given_up = []
    for number, node in enumerate(made.nodes[: MOST_MOVES + 1], start=1):
        bad, good = made.take(node).trials
        given_up.append(made.lost(node))
        assert len(made.moves[bad]) == number
    assert given_up == [None] * MOST_MOVES + [bad]
    assert made.take(made.nodes[0]).trials == [good]


def test_a_surviving_node_retries_a_trial_only_if_no_other_node_can():
    made = lanes([A, B], job(), repeats=1)
    made.take(A)
    made.lost(A, is_alive=True)
    assert made.take(A).trials == []
    made.lost(B)
    assert made.take(A).trials


def test_a_refusal_does_not_count_as_a_move():
    made = lanes([A, B], job(), repeats=1)
    (trial,) = made.take(A).trials
    made.refused(A)
    assert not made.moves[trial]
    assert made.take(B).trials == [trial]


def test_trials_that_no_node_can_run_are_stranded():
    made = lanes([A], job(), job("cnn"), repeats=1)
    made.take(A)
    made.lost(A)
    assert len(made.stranded()) == 2
    assert made.is_done()


def test_a_node_runs_only_trials_of_its_devices_and_kind():
    gpus = Node("g", "g", cpus=8, gpus=2, place="kind-g")
    assert [can_do(gpus, job(device=name)) for name in ("cpu", "gpu:0", "gpu:1", "gpu:2")] == [
        True,
        True,
        True,
        False,
    ]
    assert not can_do(A, job(device="gpu:0"))
    assert can_do(A, job(place="kind-a"))
    assert not can_do(A, job(place="kind-b"))


ALIKE = [Node(key, f"node-{key}", cpus=2, place="kind") for key in "xyz"]


def test_a_ranking_of_several_hosts_uses_as_many_nodes_of_one_kind():
    first, second, third = ALIKE
    made = lanes([A, first, second, third], job(hosts=2), job("cnn"), repeats=1)
    (alone,) = made.take(A).trials
    assert alone.job.hosts == 1, "no other is of its kind"
    taken = made.take(first)
    assert [trial.job.hosts for trial in taken.trials] == [2]
    assert taken.others == [second]
    assert made.idle() == [third]
    assert made.take(second).trials == [], "it helps"


def test_a_ranking_of_several_hosts_waits_until_enough_are_idle():
    first, second, _ = ALIKE
    made = lanes([first, second], job("cnn"), job(hosts=2), repeats=1)
    (trial,) = made.take(first).trials
    assert made.take(second).trials == []
    made.ended(first, trial)
    made.done(first)
    assert made.take(second).others == [first]
    made.done(second)
    assert made.idle() == [first, second]


def test_a_ranking_that_loses_one_of_its_hosts_gets_another_node():
    first, second, third = ALIKE
    made = lanes(ALIKE, job(hosts=2), repeats=1)
    (trial,) = made.take(first).trials
    assert made.lost(first, is_alive=True, other=second) is None
    assert made.moves[trial] == [second.name]
    again = made.take(first)
    assert (again.trials, again.others) == ([trial], [third])
    made.lost(first, is_alive=True, other=third)
    assert made.stranded() == [trial], "one node is left, and it needs two"


@pytest.mark.parametrize("nodes", [[A, B], [A], ALIKE[:1]])
def test_trials_of_more_hosts_than_equal_nodes_are_stranded(nodes):
    made = lanes(nodes, job(hosts=2), repeats=1)
    assert all(made.take(node).trials == [] for node in nodes)
    assert len(made.stranded()) == 1


@given(st.data())
def test_every_trial_ends_exactly_once_whichever_nodes_are_lost(data):
    """Nodes start, finish and are lost in any order; no trial is missing or duplicated."""
    nodes = [
        Node(str(n), f"n{n}", 1, place=f"k{n % 2}") for n in range(data.draw(st.integers(1, 5)))
    ]
    hosts = [data.draw(st.integers(1, 3)) for _ in range(4)]
    models = [job(f"m{n}", backend, hosts=hosts[n]) for n in range(4) for backend in ("x", "y")]
    made = lanes(nodes, *models)
    every = planned(*models)
    over, work = [], {}
    while not made.is_done():
        over += made.stranded()
        for node in made.idle():
            taken = made.take(node)
            if taken.trials:
                work[node.key] = (node, taken.trials, taken.others)
        busy = [each.key for node, _, others in work.values() for each in (node, *others)]
        assert len(busy) == len(set(busy)), "a node does one thing"
        assert work or made.is_done(), "somebody can always go on"
        if not work:
            break
        node, taken, others = work[data.draw(st.sampled_from(sorted(work)))]
        faults = ["dies", "stumbles", "refuses", *(["other"] if others else [])]
        match data.draw(st.sampled_from(["ends", "ends", "ends", *faults])):
            case "ends":
                over.append(taken.pop(0))
                made.ended(node, over[-1])
                if not taken:
                    del work[node.key]
                    made.done(node)
            case "refuses":
                del work[node.key]
                made.refused(node)
            case "other":
                del work[node.key]
                given_up = made.lost(node, is_alive=True, other=others[-1])
                over += [given_up] if given_up else []
            case fault:
                del work[node.key]
                given_up = made.lost(node, is_alive=fault == "stumbles")
                over += [given_up] if given_up else []
    assert sorted(over, key=lambda trial: trial.name) == sorted(every, key=lambda t: t.name)
