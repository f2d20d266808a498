"""The published JSON Schemas, made from the models that check the same documents."""

from __future__ import annotations

from typing import Any

from lossgrade.assignment import Assignment
from lossgrade.result import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of "assignment" files or of "result" records."""
    if name == "assignment":
        made = Assignment.model_json_schema(by_alias=True)
        # `rubric` may be left out where the table's key is its name.
        for definition in made["$defs"].values():
            if "rubric" in definition.get("required", ()):
                definition["required"].remove("rubric")
        functions = made["properties"]["functions"]["additionalProperties"]
        functions["anyOf"] = functions.pop("oneOf")
        functions.pop("discriminator")
    else:
        made = Result.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, "$id": f"lossgrade/{name}/v1", **made}
