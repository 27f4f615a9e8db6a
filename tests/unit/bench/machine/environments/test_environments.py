"""Backends with a version or an interpreter: selectors, their environments, invalid input."""

import os
import sys
from pathlib import Path

import msgspec
import pytest

from backends.registry import installed_version, not_installed, recipes
from bench.errors import ChoiceError, EnvironmentCreationError, InterpreterError
from bench.machine.environments import store
from bench.machine.environments.choice import choose_backends, installation_hint
from bench.machine.environments.creation import create_environment
from bench.machine.environments.installed import installation_of
from bench.machine.environments.pythons import find_python, inspect_interpreter
from bench.machine.environments.selector import Selector, parse_selector
from bench.machine.environments.store import blueprint
from bench.run.launch import SOURCE_ROOT, Launch, launch_of, prepared_variables

JAX = recipes()["jax"]


@pytest.fixture(autouse=True)
def no_index(monkeypatch):
    """These tests query no package index: every package is missing."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("jax", Selector("jax", "jax")),
        ("keras-jax", Selector("keras-jax", "keras-jax")),
        ("jax==0.9.*", Selector("jax==0.9.*", "jax", "==0.9.*")),
        ("jax@/a b/python", Selector("jax@/a b/python", "jax", "", "/a b/python")),
        ("jax[A=1]", Selector("jax", "jax", environment=("A=1",))),
        (
            "jax==0.9.*[XLA_FLAGS=--a=1,2 --b,B=x=y]",
            Selector(
                "jax==0.9.*", "jax", "==0.9.*", environment=("XLA_FLAGS=--a=1,2 --b", "B=x=y")
            ),
        ),
        ("jax@/a b/python[A=]", Selector("jax@/a b/python", "jax", "", "/a b/python", ("A=",))),
    ],
)
def test_a_selector_has_a_name_a_version_and_an_interpreter(text, selector):
    assert parse_selector(text) == selector


@pytest.mark.parametrize(
    "text", ["", "==1", "jax==", "jax==one", "jax@", "jax 1", "jax >= 1", "9jax", "jax="]
)
def test_an_invalid_selector_is_rejected(text):
    with pytest.raises(ChoiceError, match="received"):
        parse_selector(text)


@pytest.mark.parametrize("text", ["jax[]", "jax[A]", "jax[1A=2]", "jax[=2]"])
def test_an_invalid_variable_is_rejected(text):
    with pytest.raises(ChoiceError, match="write environment variables as NAME=value"):
        parse_selector(text)


def test_contenders_that_differ_in_their_variables_share_a_recipe():
    chosen = choose_backends(["numpy[A=1]", "numpy", "numpy[A=2]"])
    assert [recipe.name for recipe in chosen.recipes] == ["numpy"]


def test_a_requested_version_overrides_the_bounds_of_a_recipe_but_not_its_pins():
    recipe = msgspec.structs.replace(
        JAX, requirements=("jax[extra]>=1", "jaxlib>=1", "numpy==1.23.5"), python=">=3.9"
    )
    assert blueprint(recipe).requirements == recipe.requirements
    asked = blueprint(recipe, "==0.9.*")
    assert asked.requirements == ("jax[extra]==0.9.*", "jaxlib", "numpy==1.23.5")
    assert asked.python == ">=3.9"


def test_a_gpu_has_its_own_requirements():
    assert blueprint(JAX, on_gpu=True).requirements == ("jax[cuda13]>=0.10",)
    assert blueprint(JAX, "==0.9.*", on_gpu=True).requirements == ("jax[cuda13]==0.9.*",)
    assert blueprint(JAX, on_gpu=True).name != blueprint(JAX).name
    numpy = recipes()["numpy"]
    assert blueprint(numpy, on_gpu=True) == blueprint(numpy)


def test_the_name_of_an_environment_is_the_digest_of_its_requirements():
    assert blueprint(JAX, "==0.9.*").name == blueprint(JAX, "==0.9.*").name
    assert blueprint(JAX, "==0.9.*").name != blueprint(JAX, "==0.9.2").name
    assert blueprint(JAX).name.startswith("jax-")


@pytest.mark.process
def test_this_python_is_used_if_it_satisfies_the_requirements():
    assert find_python("") == sys.executable
    assert find_python(f"=={sys.version_info[0]}.{sys.version_info[1]}.*") == sys.executable
    assert find_python("==2.7.*") is None


@pytest.mark.process
def test_an_interpreter_reports_its_packages():
    held = inspect_interpreter(sys.executable)
    assert held.python == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "msgspec"} <= set(held.packages)


@pytest.mark.process
@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 3", "#!/bin/sh\necho hello", "no program"])
def test_a_program_that_is_not_python_is_reported(tmp_path, program):
    fake = tmp_path / "python"
    fake.write_text(program)
    fake.chmod(0o755)
    with pytest.raises(InterpreterError, match="does not answer as a Python"):
        inspect_interpreter(str(fake))


@pytest.mark.process
def test_a_python_that_is_too_old_is_reported(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho '[[3, 8, 1], [], {}]'")
    fake.chmod(0o755)
    with pytest.raises(InterpreterError, match=r"is Python 3\.8\.1; workers need 3\.9"):
        inspect_interpreter(str(fake))


def test_a_missing_python_makes_the_backend_unavailable():
    (recipe,) = choose_backends(["numpy@/no/such/python"]).recipes
    assert recipe.name == "numpy@/no/such/python"
    assert installed_version(recipe) is None
    assert "/no/such/python does not exist; name the path of a Python" in not_installed(recipe)


@pytest.mark.process
def test_missing_packages_are_reported_with_the_command_that_installs_them(tmp_path):
    empty = tmp_path / "python"
    empty.write_text('#!/bin/sh\necho \'[[3, 11, 1], [], {"NumPy": "2.0"}]\'')
    empty.chmod(0o755)
    (recipe,) = choose_backends([f"numpy@{empty}"]).recipes
    assert (
        f"msgspec>=0.18.6 is missing in {empty}; install it: {empty} -m pip install"
        in recipe.absence
    )


@pytest.mark.process
def test_an_interpreter_of_the_user_can_be_used():
    (recipe,) = choose_backends([f"numpy@{sys.executable}"]).recipes
    assert recipe.interpreter == sys.executable
    assert installed_version(recipe) == inspect_interpreter(sys.executable).packages["numpy"]


def test_an_environment_is_created_when_it_is_first_needed():
    (recipe,) = choose_backends(["numpy==1.0"]).recipes
    assert installed_version(recipe) is None
    assert "created when it runs" in not_installed(recipe)
    assert recipe.requirements == ("numpy==1.0",)


@pytest.mark.process
def test_requirements_that_cannot_be_installed_leave_no_environment_but_a_reason():
    told = []
    (recipe,) = choose_backends(["numpy==1.0"], notify=told.append).recipes
    assert "no versions of the packages" in recipe.absence or "cannot be reached" in recipe.absence
    assert told == ["creating an environment for numpy==1.0"]
    assert not store.folder_of(blueprint(recipes()["numpy"], "==1.0")).exists()
    assert list(store.all_environments()) == []


@pytest.mark.process
def test_a_missing_python_version_is_reported_with_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PYENV_ROOT", "/nowhere")
    recipe = msgspec.structs.replace(JAX, python="==3.7.*")
    with pytest.raises(
        EnvironmentCreationError, match=r"needs Python ==3\.7\.\*, found only 3\..*install uv"
    ):
        create_environment(blueprint(recipe), lambda text: None)


@pytest.mark.process
def test_a_missing_system_package_is_reported():
    marks = {"libnowhere-dev": "lib:nowhere", "nowhere": "no-such-program", "sh": "sh"}
    recipe = msgspec.structs.replace(JAX, system_packages=marks)
    with pytest.raises(
        EnvironmentCreationError, match="needs libnowhere-dev nowhere; on Debian: apt install"
    ):
        create_environment(blueprint(recipe), lambda text: None)


def test_an_incomplete_environment_is_ignored(tmp_path):
    assert store.read(tmp_path) is None
    (tmp_path / "environment.json").write_text("{")
    assert store.read(tmp_path) is None


def test_another_interpreter_imports_the_suite_but_no_package_of_this_environment(tmp_path):
    launch = Launch({"OWN": "1"}, "/elsewhere/python")
    variables = prepared_variables(launch, "backends.numpy.backend:NumpyBackend", 1, tmp_path)
    folder = Path(variables["PYTHONPATH"])
    assert sorted(os.listdir(folder)) == ["backends", "bench"]
    assert (folder / "bench" / "worker" / "__main__.py").is_file()
    assert variables["OWN"] == "1"
    assert "VIRTUAL_ENV" not in variables


def test_another_interpreter_imports_a_third_partys_adapter(tmp_path, plugin):
    launch = Launch({}, "/elsewhere/python")
    variables = prepared_variables(launch, "evenbench_fake.session:FakeBackend", 1, tmp_path)
    assert (Path(variables["PYTHONPATH"]) / "evenbench_fake" / "session.py").is_file()


def test_this_interpreter_keeps_its_import_path(tmp_path):
    variables = prepared_variables(launch_of(JAX), JAX.adapter, 1, tmp_path)
    assert str(SOURCE_ROOT) in variables["PYTHONPATH"].split(os.pathsep)


def test_an_isolated_backend_is_available_through_its_own_environment():
    assert installation_hint(msgspec.structs.replace(JAX, isolated=True)) == "bench env create jax"
    assert installation_hint(JAX).startswith("python -m pip install")


def test_an_installation_counts_the_framework_and_what_it_requires():
    found = installation_of(recipes()["numpy"])
    assert list(found.packages) == ["numpy"]
    assert found.packages["numpy"] == installed_version(recipes()["numpy"])
    assert found.size_bytes > 2**20
    assert 300 < found.adapter_lines < 5000
    assert not found.own_environment
    suite = msgspec.structs.replace(recipes()["numpy"], requirements=("pandas>=2",))
    assert {"pandas", "numpy", "python-dateutil"} <= set(installation_of(suite).packages)


def test_env_commands_report_invalid_input(bench):
    for arguments, sentence in (
        (["create", "nosuch"], "unknown backend 'nosuch'"),
        (["create", "jax==x"], "expected a version"),
        (["create", "jax@/usr/bin/python3"], "names an interpreter"),
        (["remove", "nosuch"], "expected some of: none"),
        (["remove", "jax=="], "expected a version"),
    ):
        done = bench("env", *arguments)
        assert done.returncode == 2
        assert sentence in done.stderr


def test_env_list_reports_that_there_is_no_environment(bench):
    done = bench("env", "list")
    assert done.returncode == 0
    assert "no environment in" in done.stdout


@pytest.mark.process
def test_an_environment_that_cannot_be_made_affects_only_its_own_records(
    tiny, tmp_path, bench, cache, scripted, monkeypatch
):
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\necho 'No solution found: there is no numpy 1.0' >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{uv.parent}{os.pathsep}{os.environ['PATH']}")
    out = tmp_path / "out"
    backends = "fake,numpy==1.0,numpy@/no/python"
    done = bench("run", *tiny, "--backends", backends, "--repeats", "1", "--output", str(out))
    assert done.returncode == 1, done.stderr
    records = {each["job"]["backend"]: each for each in map(msgspec.json.decode, _lines(out))}
    assert records["fake"]["outcome"] == "ok"
    assert records["numpy==1.0"]["outcome"] == "unavailable"
    assert "there is no numpy 1.0" in records["numpy==1.0"]["reason"]
    assert records["numpy@/no/python"]["reason"].startswith("/no/python does not exist")
    assert "unavailable" in (out / "report.md").read_text()


def _lines(out):
    return (out / "trials.jsonl").read_bytes().splitlines()
