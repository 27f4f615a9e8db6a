"""Write the JSON schemas of a run's files: `python -m bench.records.schema docs/schema`."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.records.manifest import Manifest
from bench.records.predictions import EXPLANATIONS, PICTURES, Explanation, Pictures
from bench.records.trial import CERTIFICATES, MANIFEST, TRIALS, TrialRecord
from bench.verification.certificate import Certificate


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each file, by file name."""
    return {
        MANIFEST: msgspec.json.schema(Manifest),
        TRIALS: msgspec.json.schema(TrialRecord),
        CERTIFICATES: msgspec.json.schema(list[Certificate]),
        EXPLANATIONS: msgspec.json.schema(Explanation),
        PICTURES: msgspec.json.schema(Pictures),
    }


def write_schemas(folder: Path) -> None:
    """Write the schema of each file of a run to `<file name>.schema.json` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in json_schemas().items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / f"{name}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
