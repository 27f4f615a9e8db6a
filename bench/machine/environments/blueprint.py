"""What an environment is made from: requirements and a range of Pythons."""

import hashlib
import platform

import msgspec
from packaging.requirements import Requirement

from backends.api import Recipe

# What a worker imports beside its framework.
WORKER_REQUIREMENTS = ("numpy", "msgspec>=0.18.6")
_DIGEST_CHARACTERS = 12


class Blueprint(msgspec.Struct, frozen=True):
    """What decides an environment: two with the same digest are one.

    Attributes:
        backend: the backend's name.
        requirements: the packages, as pip takes them, the framework first.
        python: the range of versions, as pip writes it; empty is any.
        system_packages: see `Recipe`.
    """

    backend: str
    requirements: tuple[str, ...]
    python: str = ""
    system_packages: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The name of the environment's folder: the backend and the digest of the rest."""
        parts = (self.requirements, self.python, WORKER_REQUIREMENTS, platform.machine())
        digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
        return f"{self.backend}-{digest[:_DIGEST_CHARACTERS]}"


def blueprint(recipe: Recipe, version: str = "", on_gpu: bool = False) -> Blueprint:
    """What the environment of a recipe is made from.

    Args:
        recipe: the backend's.
        version: the framework's, as pip takes it (`==2.12.*`), in the place of the recipe's own.
            The recipe's lower bounds on other packages go with it, since they were chosen for
            the recipe's version; its pins (`==`) stay.
        on_gpu: whether it is to train on a GPU.
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
    """The package's name with its extras."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}"
