"""A fake backend without a framework. Each mode succeeds or fails in its own way."""

from backends.api import Recipe

MODES = (
    "works",
    "raises",
    "exits",
    "segfaults",
    "segfaults_natively",
    "aborts",
    "killed",
    "hangs",
    "hangs_natively",
    "deaf",
    "forks",
    "detaches",
    "shouts",
    "garbles",
    "nan",
    "infinite",
    "starved",
    "killed_for_memory",
    "unsupported",
    "early",
    "dispatches",
    "steady",
    "lingers",
    "exits_later",
    "hangs_later",
    "starved_later",
)
RECIPE = Recipe(
    name="fake",
    title="Fake",
    requirements=("evenbench-fake>=1",),
    modes=MODES,
    default_modes=("works",),
    adapter="evenbench_fake.session:FakeBackend",
    environment={"FAKE_VARIABLE": "set by the recipe"},
    cold={"FAKE_COLD": "1"},
    parallel_modes=("works", "steady", "hangs", "raises", "killed"),
    joins_hosts=True,
)
BROKEN = Recipe(
    name="broken",
    title="Broken",
    requirements=("evenbench-fake>=1",),
    modes=("works",),
    default_modes=("works",),
    adapter="evenbench_fake.not_there:FakeBackend",
)
ABSENT = Recipe(
    name="absent",
    title="Absent",
    requirements=("evenbench-absent>=1",),
    modes=("works",),
    default_modes=("works",),
    adapter="evenbench_fake.session:FakeBackend",
)


def _at_import(name: str) -> Recipe:
    """Return the recipe of a framework that is installed but cannot be imported."""
    return Recipe(
        name=name,
        title=name.title(),
        requirements=("evenbench-fake>=1",),
        modes=("works",),
        default_modes=("works",),
        adapter=f"evenbench_fake.imports.{name}:FakeBackend",
    )


MISMATCHED, QUITTING, DYING, STUCK = map(_at_import, ("mismatched", "quitting", "dying", "stuck"))
