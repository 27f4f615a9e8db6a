"""The sections that compare contenders across rankings: named baselines, data-parallel training."""

from msgspec.structs import replace

from reports.analysis.rankings import rankings_of
from reports.analysis.runs import read_sources
from reports.documents.run_report import Edition


def sections(make, folder, trials, **changes):
    folder = make.store(folder, trials, **changes)
    report = Edition(read_sources([folder])).report
    return {section.anchor: section for section in report.sections}


def rows(section):
    return [row for part in section.parts for row in part.table.rows]


def test_each_contender_is_compared_with_its_counterpart(make, tmp_path):
    trials = [
        *make.repeated("torch", "eager", [100.0, 101.0, 99.0]),
        *make.repeated("jax", "scan", [300.0, 302.0, 299.0]),
        *make.repeated("torch", "eager", [400.0, 404.0, 396.0], batch_size=256),
        *make.repeated("jax", "jit", [100.0, 90.0, 110.0], batch_size=512),
    ]
    baselines = {
        "eager torch": {"backend": "torch", "mode": "eager"},
        "batch 64": {"batch_size": 64},
        "nobody's": {"backend": "mxnet"},
    }
    found = sections(make, tmp_path / "run", trials, baselines=baselines)["baselines"]
    assert [part.heading for part in found.parts] == ["eager torch", "batch 64"]
    first, second = rows(found)
    assert first[0] == "jax scan"
    assert first[4].startswith("3.0")
    assert first[5] == "faster"
    assert (second[0], second[2], second[3]) == ("torch eager", "400.0", "100.0")


def test_contenders_without_a_measurable_difference_are_reported_as_such(make, tmp_path):
    trials = [
        *make.repeated("torch", "eager", [100.0, 120.0, 80.0]),
        *make.repeated("jax", "scan", [110.0, 90.0, 101.0]),
        *make.repeated("numpy", "eager", [50.0]),
    ]
    named = {"it": {"backend": "torch", "mode": "eager"}}
    found = rows(sections(make, tmp_path / "run", trials, baselines=named)["baselines"])
    assert [row[5] for row in found] == ["no measurable difference", "too few trials"]


def test_scaling_is_strong_with_the_same_batch_and_weak_with_the_same_batch_per_process(
    make, tmp_path
):
    trials = [
        *make.repeated("torch", "eager", [100.0, 101.0]),
        *make.repeated("torch", "eager", [150.0, 151.5], world_size=2),
        *make.repeated(
            "torch",
            "eager",
            [180.0, 181.8],
            world_size=2,
            batch_size=128,
            communication_seconds=0.002,
        ),
        *make.repeated("jax", "jit", [90.0, 91.0], world_size=4),
    ]
    named = [replace(each, trial=f"{each.trial}-{each.job.world_size}") for each in trials]
    found = rows(sections(make, tmp_path / "run", named)["parallel"])
    shown = [(row[0], row[2], row[5], row[6]) for row in found]
    dash = found[0][2]
    assert ("torch eager", "strong", "75", dash) in shown
    assert ("torch eager", "weak", "90", "2.00") in shown
    assert shown[0] == ("jax jit", dash, dash, dash)


def test_several_machines_are_compared_with_one_machine_of_their_kind(make, tmp_path):
    of_kind = {"hardware_digest": "a" * 64, "machine": "first"}
    trials = [
        *make.repeated("torch", "eager", [100.0, 101.0], **of_kind),
        *make.repeated("torch", "eager", [500.0, 501.0], hardware_digest="b" * 64),
        *make.repeated(
            "torch", "eager", [180.0, 181.0], world_size=2, hosts=2, **{**of_kind, "machine": "2nd"}
        ),
    ]
    named = [replace(each, trial=f"{n}") for n, each in enumerate(trials)]
    (row,) = rows(sections(make, tmp_path / "run", named)["parallel"])
    assert row[1].endswith("world size 2, on 2 machines")
    assert row[4].startswith("1.80")


def test_sections_without_baselines_or_world_sizes_are_omitted(make, tmp_path):
    found = sections(make, tmp_path / "run", make.TRIALS)
    assert not {"baselines", "parallel"} & found.keys()


def test_the_report_has_the_title_of_the_run(make, tmp_path):
    folder = make.store(tmp_path / "run", make.TRIALS, title="The question")
    assert Edition(read_sources([folder])).report.title == "The question"


def crossovers(make, folder, swept):
    """Return the text of "Scaling" for contenders measured at several batch sizes."""
    trials = [
        each
        for (backend, mode), by_size in swept.items()
        for size, values in by_size.items()
        for each in make.repeated(backend, mode, values, batch_size=size)
    ]
    (part,) = sections(make, folder, trials)["scaling"].parts
    return part.paragraphs


def around(value, turn):
    """Return four values near the given one, in another order for each turn."""
    near = (1.0, 1.01, 0.99, 1.005)
    return [value * near[(turn + place) % 4] for place in range(4)]


def test_a_crossover_is_between_the_nearest_settings_with_opposite_verdicts(make, tmp_path):
    swept = {
        ("jax", "scan"): {16: around(60, 0), 64: around(90, 0), 256: around(110, 0), 1024: [119.0]},
        ("torch", "compile"): {16: around(20, 1), 256: around(150, 1)},
        ("torch", "eager"): {16: around(15, 2), 64: around(43, 2), 256: around(110, 2)},
        ("numpy", "eager"): {16: around(10, 3), 64: around(99, 3), 1024: [400.0]},
    }
    assert set(crossovers(make, tmp_path / "run", swept)) == {
        "torch compile overtakes jax scan between 16 and 256.",
        "numpy eager overtakes jax scan between 16 and 64.",
        "numpy eager overtakes torch eager between 16 and 64.",
    }


def test_there_is_no_crossover_unless_both_verdicts_hold_for_the_whole_sweep(make, tmp_path):
    # The ranges are apart on both sides. Alone each verdict holds at 5 %, but not at half of it.
    swept = {
        ("jax", "scan"): {16: [60.0, 60.0, 60.0], 64: [90.0, 90.0, 90.0]},
        ("torch", "eager"): {16: [52.7, 49.1, 45.8], 64: [102.5, 110.0, 117.9]},
    }
    folder = tmp_path / "run"
    assert crossovers(make, folder, swept) == ("No two contenders are shown to change places.",)
    p_values = [r.family.p_values[0, 1] for r in rankings_of(read_sources([folder]))]
    assert all(0.025 < p_value < 0.05 for p_value in p_values)
