"""Loads the data set's facts and the models that fit it."""

from collections.abc import Sequence

from bench.data.decoded import Dataset
from bench.errors import ChoiceError, ShapeError
from bench.machine.environments.selector import ALL
from bench.records.manifest import DatasetFacts, ModelFacts
from bench.spec.layers import Layer
from bench.spec.models import load, names_for, widen
from bench.spec.parameters import count_macs, count_parameters, count_training_flops
from bench.spec.shapes import resolve

LARGEST_MODEL = 2**50  # parameters, or multiply-accumulates per image: too many for any machine


def facts_of(data: Dataset, train_samples: int | None) -> DatasetFacts:
    """Return the data set's facts.

    Args:
        data: the data set.
        train_samples: number of training examples to use; None is all.

    Raises:
        ChoiceError: the data set has fewer training examples.
    """
    available = len(data.train_labels)
    if train_samples and train_samples > available:
        raise ChoiceError(
            f"--train-samples cannot be {train_samples}: expected at most {available}, the "
            f"training images of {data.name}"
        )
    return DatasetFacts(
        name=data.name,
        train_examples=train_samples or available,
        test_examples=len(data.test_labels),
        input_shape=tuple(data.input_shape),
        classes=data.classes,
    )


def load_models(
    references: Sequence[str], dataset: DatasetFacts, widths: Sequence[float] = (1.0,)
) -> dict[str, ModelFacts]:
    """Load each model in each width and check its shapes against the data set.

    Args:
        references: names of models, `all`, or path/to/file.py:function.
        dataset: the data set's facts.
        widths: factors of the units and filters.

    Returns:
        The models by name; the name ends with the width if that is not 1.

    Raises:
        ChoiceError: the model does not fit the data set's images or classes.
        ModelError: there is no such model.
    """
    if list(references) == [ALL]:
        references = names_for(dataset.input_shape)
    if not references:
        raise ChoiceError("no model: expected a name or path/to/file.py:function")
    facts: dict[str, ModelFacts] = {}
    for reference in references:
        name, layer = load(reference, dataset.classes)
        if name in facts:
            raise ChoiceError(
                f"two models are called {name}, which the report could not tell apart: rename one "
                "function"
            )
        for width in widths:
            wide = widen(layer, width)
            facts[name if width == 1 else f"{name}-width{width:g}"] = _model_facts(
                name, wide, dataset
            )
    return facts


def _model_facts(name: str, layer: Layer, dataset: DatasetFacts) -> ModelFacts:
    try:
        model = resolve(layer, dataset.input_shape)
    except ShapeError as error:
        shape = " x ".join(str(size) for size in dataset.input_shape)
        raise ChoiceError(
            f"model {name} does not fit the {shape} images of {dataset.name}: {error}"
        ) from error
    if model.output_shape != (dataset.classes,):
        raise ChoiceError(
            f"model {name} has an output of shape {model.output_shape}, expected "
            f"({dataset.classes},): one logit for each class of {dataset.name}"
        )
    parameters, macs = count_parameters(model), count_macs(model)
    if max(parameters, macs) > LARGEST_MODEL:
        raise ChoiceError(
            f"model {name} has {parameters:,} parameters and {macs:,} multiply-accumulates per "
            f"image, expected at most {LARGEST_MODEL:,} of each"
        )
    return ModelFacts(
        layer=layer,
        num_parameters=parameters,
        macs_per_image=macs,
        training_flops_per_image=count_training_flops(model),
    )
