"""The doctor: settings of the machine, unknown where unreadable; clocks that stop too early."""

import pytest

from bench.cli.doctor.backends import check_clock, verdict
from bench.cli.doctor.machine import (
    UNKNOWN,
    clocks,
    core_threads,
    cpu_limit,
    governor,
    huge_pages,
    load,
    memory_limit,
    processes,
    swap,
    temperature,
    timer,
    turbo,
)
from bench.machine.hardware import usable_cpus
from bench.run.executor import LocalExecutor
from bench.run.launch import Launch
from bench.worker.protocol import ClockChecked

CPU = "sys/devices/system/cpu"
GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("knob", "file", "text", "value", "advises"),
    [
        (governor, f"{CPU}/cpu0/cpufreq/scaling_governor", "powersave\n", "powersave", True),
        (governor, f"{CPU}/cpu0/cpufreq/scaling_governor", "performance\n", "performance", False),
        (turbo, f"{CPU}/intel_pstate/no_turbo", "0\n", "on", True),
        (turbo, f"{CPU}/intel_pstate/no_turbo", "1\n", "off", False),
        (turbo, f"{CPU}/cpufreq/boost", "1\n", "on", True),
        (core_threads, f"{CPU}/smt/active", "1\n", "two or more", True),
        (core_threads, f"{CPU}/smt/active", "0\n", "one", False),
        (
            huge_pages,
            "sys/kernel/mm/transparent_hugepage/enabled",
            "always [madvise] never\n",
            "madvise",
            False,
        ),
        (cpu_limit, f"{GROUPS}/cpu.max", "50000 100000\n", "0.5 CPUs", True),
        (cpu_limit, f"{GROUPS}/cpu.max", "max 100000\n", "none", False),
        (memory_limit, f"{GROUPS}/memory.max", f"{2**31}\n", "2.0 GiB", False),
        (memory_limit, f"{GROUPS}/memory.max", "max\n", "none", False),
        (memory_limit, f"{GROUPS}/memory/memory.limit_in_bytes", f"{2**63}\n", "none", False),
    ],
)
def test_a_knob_reports_its_value_and_advice(tmp_path, knob, file, text, value, advises):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = knob(tmp_path)
    assert found.value == value
    assert bool(found.advice) == advises


@pytest.mark.parametrize(
    "knob", [governor, turbo, core_threads, huge_pages, cpu_limit, memory_limit]
)
def test_a_knob_that_cannot_be_read_is_unknown(tmp_path, knob):
    assert knob(tmp_path).value == UNKNOWN
    assert knob(tmp_path).advice == ""


def test_a_gpu_that_does_not_report_its_state_is_unknown():
    assert [processes(0, None).value, temperature(0, None).value, clocks(0, None, 1).value] == [
        UNKNOWN
    ] * 3
    assert processes(0, [object()]).advice
    assert temperature(0, 90).advice
    assert not temperature(0, 40).advice


def test_the_doctor_examines_this_machine():
    assert timer().value.endswith(" ns")
    assert load().value != ""
    assert swap().value != ""


@pytest.mark.parametrize(
    ("single", "double", "leftover", "passes"),
    [
        ((1.0, 1.0, 1.0), (2.0, 2.1), 0.01, True),
        ((1.0, 1.2, 1.4), (2.2, 2.6), 0.0, True),  # a machine that slows down
        ((1.0, 1.0, 1.0), (1.0, 1.0), 0.0, False),  # the clock does not wait
        ((1.0, 1.0, 1.0), (2.0, 2.0), 0.5, False),  # it waits for the dispatch alone
        ((1.0, 1.0, 1.0), (2.5, 2.5), 0.0, False),
    ],
)
def test_a_clock_passes_if_twice_the_steps_take_twice_the_time(single, double, leftover, passes):
    assert verdict(ClockChecked(10, single, double, leftover)).passed == passes


@pytest.mark.process
@pytest.mark.parametrize(
    ("adapter", "mode", "passes"),
    [
        ("evenbench_fake.session:FakeBackend", "steady", True),
        ("evenbench_fake.session:FakeBackend", "early", False),
        ("evenbench_fake.session:FakeBackend", "dispatches", False),
    ],
)
def test_a_backend_that_returns_before_its_device_is_idle_is_detected(
    plugin, adapter, mode, passes
):
    found = check_clock(adapter, Launch(), (mode, "cpu"), usable_cpus()[:1], LocalExecutor(), 0.1)
    assert found.error == ""
    assert found.passed == passes, found


@pytest.mark.process
def test_a_backend_that_fails_has_no_verdict(plugin):
    found = check_clock(
        "evenbench_fake.session:FakeBackend",
        Launch(),
        ("raises", "cpu"),
        usable_cpus()[:1],
        LocalExecutor(),
    )
    assert not found.passed
    assert "gives up" in found.error


@pytest.mark.process
def test_the_command_prints_its_findings_and_fails_if_a_clock_fails(plugin, bench, cache):
    """The fake trains instantly, so twice the steps do not take twice as long."""
    done = bench("doctor", "--backends", "fake")
    assert done.returncode == 1, done.stderr
    for word in ("swap in use", "advice", "GFLOP/s float32", "time of twice the steps", "FAIL"):
        assert word in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_a_device_that_a_backend_does_not_see_is_reported(plugin, bench, cache):
    done = bench("doctor", "--backends", "fake", "--device", "gpu:7")
    assert "gpu:7" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout
