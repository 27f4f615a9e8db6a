"""Write the JSON schemas of a run's files: `python -m bench.records.schema docs/schema`."""

import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from bench.records.manifest import Manifest
from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Pictures
from bench.records.trial import CERTIFICATES, MANIFEST, TRIALS, TrialRecord
from bench.verification.certificate import Certificate


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each file, by file name."""
    kinds: dict[str, Any] = {
        MANIFEST: Manifest,
        TRIALS: TrialRecord,
        CERTIFICATES: list[Certificate],
        EXPLANATIONS: Explanation,
        PICTURES: Pictures,
    }
    return {name: _dedented(msgspec.json.schema(kind)) for name, kind in kinds.items()}


def _dedented(schema: Any) -> Any:
    """Remove the indentation of docstrings, which msgspec before 0.23 leaves in descriptions."""
    if isinstance(schema, dict):
        return {
            name: cleandoc(value)
            if name == "description" and isinstance(value, str)
            else _dedented(value)
            for name, value in schema.items()
        }
    return [_dedented(each) for each in schema] if isinstance(schema, list) else schema


def write_schemas(folder: Path) -> None:
    """Write the schema of each file of a run to `<file name>.schema.json` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in json_schemas().items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / f"{name}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
