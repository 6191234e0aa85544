"""JSON Schema of every event, generated from the structs: `python -m schemas.json_schema` writes, `--check` compares.

The files under schemas/json/ are for publishers in other languages; the structs in events.py stay the only source.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.codec import name_of, version_of
from schemas.topics import ALL

FOLDER = Path(__file__).parent / "json"


def documents() -> dict[str, str]:
    """File name → content, one file an event and version."""
    made = {}
    for topic in ALL:
        for kind in topic.carries:
            schema: dict[str, Any] = msgspec.json.schema(kind)
            schema = {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": f"{name_of(kind)}, on topic {topic.name} (key: {topic.key})",
                **schema,
            }
            made[f"{name_of(kind)}.v{version_of(kind)}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return made


def main() -> int:
    made = documents()
    if "--check" not in sys.argv:
        for name, content in made.items():
            (FOLDER / name).write_text(content, encoding="utf-8")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if there != made:
        wrong = sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))
        print(f"schemas/json is not what events.py says: {', '.join(wrong)}; run `python -m schemas.json_schema`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
