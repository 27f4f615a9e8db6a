"""Caffe: a network and a solver as messages, and the solver's own step for each batch."""

from backends.api import Recipe

RECIPE = Recipe(
    name="caffe",
    title="Caffe (kendryte-caffe)",
    # Its extension was built for NumPy 1, and its messages for protobuf 3.
    requirements=(
        "kendryte-caffe==1.0.0.20210829",
        "numpy==1.23.5",
        "protobuf==3.20.3",
        "scipy<1.12",
    ),
    modes=("solver",),
    default_modes=("solver",),
    adapter="backends.caffe.backend:CaffeBackend",
    python=">=3.9,<3.10",
    isolated=True,
    # Otherwise Caffe prints every layer of every network.
    environment={"GLOG_minloglevel": "2"},
)
