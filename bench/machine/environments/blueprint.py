"""What an environment is created from: requirements and a range of Python versions."""

import platform

import msgspec
from packaging.requirements import Requirement

from backends.api import Recipe
from bench.cache import digest

# What a worker imports in addition to its framework.
WORKER_REQUIREMENTS = ("numpy", "msgspec>=0.18.6")
_DIGEST_CHARACTERS = 12


class Blueprint(msgspec.Struct, frozen=True):
    """Everything that determines an environment; equal blueprints share one environment.

    Attributes:
        backend: the backend's name.
        requirements: the packages in pip's syntax, the framework first.
        python: the range of Python versions in pip's syntax; empty for any version.
        system_packages: see `Recipe`.
    """

    backend: str
    requirements: tuple[str, ...]
    python: str = ""
    system_packages: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Return the name of the environment's folder: the backend and a digest of the rest."""
        parts = (self.requirements, self.python, WORKER_REQUIREMENTS, platform.machine())
        return f"{self.backend}-{digest(*parts)[:_DIGEST_CHARACTERS]}"


def blueprint(recipe: Recipe, version: str = "", on_gpu: bool = False) -> Blueprint:
    """Make the blueprint of a backend's environment.

    Args:
        recipe: the backend's recipe.
        version: a version of the framework in pip's syntax (`==2.12.*`) that replaces the
            recipe's. The recipe's lower bounds on other packages are dropped, because they were
            chosen for the recipe's version; its pins (`==`) stay.
        on_gpu: whether the environment is for training on a GPU.
    """
    requirements = (on_gpu and recipe.gpu_requirements) or recipe.requirements
    if version:
        first, *others = map(Requirement, requirements)
        requirements = (f"{_bare(first)}{version}", *map(_unbound, others))
    return Blueprint(recipe.name, requirements, recipe.python, recipe.system_packages)


def _unbound(requirement: Requirement) -> str:
    is_pinned = any(each.operator in ("==", "===") for each in requirement.specifier)
    return str(requirement) if is_pinned else _bare(requirement)


def _bare(requirement: Requirement) -> str:
    """Format the package's name with its extras and without a version."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}"
