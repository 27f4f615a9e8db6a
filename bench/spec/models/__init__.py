"""Models as specs: a model is a function from a number of classes to a layer.

A family a file. Its functions take depths and widths as plain arguments; the registry gives the
published and the small forms their names. Batch normalisation has the spec's defaults throughout,
whatever momentum and epsilon a paper's own code has.
"""

from bench.spec.models.loading import LoadedModel, load
from bench.spec.models.registry import MODELS, ModelEntry, all_models, build, entry, names_for
from bench.spec.models.width import widened

__all__ = [
    "MODELS",
    "LoadedModel",
    "ModelEntry",
    "all_models",
    "build",
    "entry",
    "load",
    "names_for",
    "widened",
]
