"""The errors that speak of what the user gave: the command line shows them as a sentence.

Each is a ValueError and lives beside what it checks:

    ChoiceError    bench.errors     a name, number or combination on the command line
    ClusterError   bench.cluster     a cluster that cannot be reached or has no node of use
    DataError      bench.data.idx    a data set's files
    ModelError     bench.spec.models      a model's name, or the user's own model file
    PluginError    backends.plugins  an installed package that brings no usable backend or model
    RecordError    bench.records.trial     a run folder
    RunFileError   bench.cli.run_file     a run file in TOML
    ShapeError     bench.spec.shapes a layer that does not fit its input
"""

from backends.plugins import PluginError
from bench.cli.run_file import RunFileError
from bench.data.idx import DataError
from bench.errors import ChoiceError, ClusterError
from bench.records.trial import RecordError
from bench.spec.models import ModelError
from bench.spec.shapes import ShapeError

USER_ERRORS = (
    ChoiceError,
    ClusterError,
    DataError,
    ModelError,
    PluginError,
    RecordError,
    RunFileError,
    ShapeError,
)
