"""TensorFlow: a loop of steps inside one function, eager, as a graph or compiled by XLA."""

from backends.api import Recipe

RECIPE = Recipe(
    name="tensorflow",
    title="TensorFlow",
    requirements=("tensorflow>=2.21",),
    gpu_requirements=("tensorflow[and-cuda]>=2.21",),
    modes=("eager", "graph", "xla"),
    default_modes=("graph", "xla"),
    adapter="backends.tensorflow.backend:TensorFlowBackend",
    environment={
        # Otherwise TensorFlow prints its banner and device warnings into every trial's log.
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # Otherwise it reserves nearly all of a GPU's memory when it starts.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        # TensorFlow imports Keras, whose settings file could name another framework.
        "KERAS_BACKEND": "tensorflow",
    },
    precisions=("float32", "bfloat16", "float64"),
    inputs=("resident", "pipeline"),
    gpu_precisions=("float16", "tf32"),
    parallel_modes=("graph",),
    # Read by the adapter, which configures TensorFlow before anything runs.
    parallel_environment={"EVENBENCH_TENSORFLOW_CPU_DEVICES": "{world_size}"},
    joins_hosts=True,
)
