"""PyTorch: a module tree with fused optimizers, eager or as one compiled step."""

from backends.api import Recipe

RECIPE = Recipe(
    name="torch",
    title="PyTorch",
    requirements=("torch==2.13.*",),
    modes=("eager", "compile"),
    default_modes=("eager", "compile"),
    adapter="backends.torch.backend:TorchBackend",
    # Inductor caches compiled code on disk, XLA does not: disabled, so that compile times are
    # comparable. Its pool of compiler processes would still run during training.
    cold={"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"},
    warm={
        "TORCHINDUCTOR_CACHE_DIR": "{cache}",
        "TRITON_CACHE_DIR": "{cache}/triton",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    },
    precisions=("float32", "bfloat16", "float64"),
    inputs=("resident", "pipeline"),
    gpu_precisions=("float16", "tf32"),
    parallel_modes=("eager",),
    one_process_per_rank=True,
    joins_hosts=True,
)
