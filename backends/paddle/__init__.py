"""PaddlePaddle: a tree of layers, run operation by operation or as one compiled step."""

from backends.api import Recipe

RECIPE = Recipe(
    name="paddle",
    title="PaddlePaddle",
    requirements=("paddlepaddle==3.3.*",),
    modes=("eager", "static"),
    default_modes=("eager", "static"),
    adapter="backends.paddle.backend:PaddleBackend",
    python=">=3.9,<3.14",
)
