"""What a worker starts with, and what of the user's shell does not reach it."""

from bench.run.launch import notes_on_variables, worker_environment


def test_compilers_reach_a_worker_and_its_record(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "clang-99")
    monkeypatch.setenv("CXX", "clang++-99")
    variables = worker_environment({}, 1, tmp_path)
    assert (variables["CC"], variables["CXX"]) == ("clang-99", "clang++-99")


def test_variables_that_change_speed_are_named_because_workers_do_not_get_them(
    monkeypatch, tmp_path
):
    shell = {"XLA_FLAGS": "--xla_cpu_use_xnnpack=true", "LD_PRELOAD": "libjemalloc.so", "CC": "gcc"}
    (note,) = notes_on_variables(shell)
    assert "LD_PRELOAD, XLA_FLAGS" in note
    assert "CC" not in note
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    assert not {"XLA_FLAGS", "LD_PRELOAD"} & worker_environment({}, 1, tmp_path).keys()


def test_a_shell_without_such_variables_needs_no_note():
    assert notes_on_variables({"PATH": "/bin", "HOME": "/root"}) == []
