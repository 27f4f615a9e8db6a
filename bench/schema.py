"""Write the JSON schemas of a run's files: `python -m bench.schema docs/schema`."""

import sys
from pathlib import Path

import msgspec

from bench.records import json_schemas


def write_schemas(folder: Path) -> None:
    """Write one `<file name>.schema.json` for each file of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in json_schemas().items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / f"{name}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
