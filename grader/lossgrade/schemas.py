"""The published JSON Schemas, made from the models that check the same documents."""

from __future__ import annotations

from typing import Any

from lossgrade.assignment import Assignment
from lossgrade.cohort.record import CohortRecord
from lossgrade.result import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of "assignment" files, of "result" or of "cohort" records."""
    if name == "assignment":
        made = Assignment.model_json_schema(by_alias=True)
        for definition in made["$defs"].values():
            # What the model's validators take besides: no `rubric` where the table's key is its
            # name, and one reduction without a list around it.
            if "rubric" in definition.get("required", ()):
                definition["required"].remove("rubric")
            if listed := definition["properties"].get("reduction"):
                about = {
                    k: listed.pop(k) for k in ("default", "description", "title") if k in listed
                }
                definition["properties"]["reduction"] = {
                    **about,
                    "anyOf": [listed["items"], listed],
                }
        functions = made["properties"]["functions"]
        (each,) = functions["patternProperties"].values()
        each["anyOf"] = each.pop("oneOf")
        each.pop("discriminator")
        functions["additionalProperties"] = False
        functions.pop("propertyNames", None)
    elif name == "cohort":
        made = CohortRecord.model_json_schema(by_alias=True, mode="serialization")
    else:
        made = Result.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, "$id": f"lossgrade/{name}/v1", **made}
