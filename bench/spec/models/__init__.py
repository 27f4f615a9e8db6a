"""The models: functions that take a number of classes and return a layer.

Related families share a file. Their functions take depths and widths as arguments; the registry
gives names to the published models and their small versions. Batch normalisation always uses the
spec's default momentum and epsilon, which may differ from those in a paper's own code.
"""

from bench.spec.models.loading import LoadedModel, load, widen
from bench.spec.models.registry import MODELS, ModelEntry, all_models, build, entry, names_for

__all__ = [
    "MODELS",
    "LoadedModel",
    "ModelEntry",
    "all_models",
    "build",
    "entry",
    "load",
    "names_for",
    "widen",
]
