"""The cost of adopting a backend besides its speed, and the pins that reproduce its versions."""

from importlib.metadata import distribution

from backends.registry import recipes
from bench.machine.environments.installed import installation_of
from bench.records.manifest import Installation
from reports.analysis.runs import read_sources
from reports.documents.run_report import Edition

OWN = Installation(
    requirements=("jax==0.9.*", "jaxlib"),
    python="3.9.18",
    own_environment=True,
    packages={"jax": "0.9.2", "jaxlib": "0.9.1"},
    size_bytes=300 * 2**20,
    adapter_lines=1011,
)
SHARED = Installation(
    requirements=("torch==2.13.*",),
    python="3.11.7",
    own_environment=False,
    packages={"torch": "2.13.0"},
    size_bytes=700 * 2**20,
    adapter_lines=918,
)


def sections(make, folder, **changes):
    trials = [
        make.trial("torch", "eager", cold_start_seconds=4.0, versions={"torch": "2.13.0"}),
        make.trial("torch", "compile", cold_start_seconds=40.0, versions={"torch": "2.13.0"}),
        make.trial("jax==0.9.*", "jit", cold_start_seconds=3.0, versions={"jax": "0.9.2"}),
    ]
    folder = make.store(folder, trials, **changes)
    report = Edition(read_sources([folder])).report
    return {section.anchor: section for section in report.sections}


def test_packages_size_start_time_and_lines_are_columns_of_one_table(make, tmp_path):
    found = sections(
        make,
        tmp_path / "run",
        installations={"torch": SHARED, "jax==0.9.*": OWN},
        framework_versions={"torch": "2.13.0", "jax==0.9.*": "0.9.2"},
    )
    costs, origins = (part.table.rows for part in found["adopting"].parts)
    torch, jax = costs
    assert torch[:4] == ("torch", "2.13.0", "1", "700")
    assert torch[6] == "4.00", "the mode that is the first to train, not the median of both"
    assert torch[7] == "918"
    assert jax[:4] == ("jax==0.9.*", "0.9.2", "2", "300")
    assert jax[6:] == ("3.00", "1,011")
    assert origins[1] == (
        "jax==0.9.*",
        "jax==0.9.*, jaxlib",
        "3.9.18",
        "its own",
        "jax 0.9.2, jaxlib 0.9.1",
    )
    assert origins[0][3] == "the suite's"


def test_pins_of_the_suites_environment_and_of_other_environments_are_separate(make, tmp_path):
    installed = {"torch": SHARED, "jax==0.9.*": OWN}
    found = sections(make, tmp_path / "run", installations=installed)
    lines = found["command"].parts[0].code.splitlines()
    assert "python -m pip install . torch==2.13.0" in lines
    assert "# jax==0.9.*, Python 3.9.18: jax==0.9.2 jaxlib==0.9.1" in lines


def test_a_run_without_installations_has_no_such_section(make, tmp_path):
    assert "adopting" not in sections(make, tmp_path / "run")


def test_the_size_is_the_sum_of_the_files_that_the_packages_list():
    found = installation_of(recipes()["numpy"])
    listed = [distribution(name).files for name in found.packages]
    assert found.size_bytes == sum(file.size or 0 for files in listed for file in files)
