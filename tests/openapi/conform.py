"""Holds real answers against the document that the service itself serves.

usage: conform.py DOCUMENT < answers        each line of JSON is {"method", "path", "status", "media_type", "headers",
                                            "body"} of one answer, or {"schema", "body"} for one component

In the document objects are open, so that clients live with members to come. Here they are closed: every member that
the service sends must be described. The last line tells what was seen, as JSON.
"""

import json
import sys

import jsonschema
from openapi_spec_validator import validate

SCHEMAS = "#/components/schemas/"


def closed(schema, inside=False):
    """The schema without room for members that it does not name. `inside` an `allOf` the others name them too."""
    if isinstance(schema, list):
        return [closed(entry, inside) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if inside and schema.get("$ref", "").startswith(SCHEMAS):
        return {**schema, "$ref": schema["$ref"] + ".open"}
    shut = {}
    for key, value in schema.items():
        if key == "allOf":
            shut[key] = closed(value, True)
        elif key == "properties":
            shut[key] = {name: closed(member) for name, member in value.items()}
        elif key in ("anyOf", "oneOf", "items"):
            shut[key] = closed(value, inside)
        else:
            shut[key] = value
    names_members = "properties" in schema or "allOf" in schema
    if names_members and not inside and "additionalProperties" not in schema:
        shut["unevaluatedProperties"] = False
    return shut


class Document:
    def __init__(self, document):
        validate(document)
        self.document = document
        schemas = document["components"]["schemas"]
        shut = {name: closed(schema) for name, schema in schemas.items()}
        shut.update({name + ".open": closed(schema, True) for name, schema in schemas.items()})
        self.shut = {"components": {"schemas": shut}}

    def resolved(self, value):
        while "$ref" in value:
            _, kind, name = value["$ref"][2:].split("/")
            value = self.document["components"][kind][name]
        return value

    def check(self, schema, body):
        validator = jsonschema.Draft202012Validator(
            {**self.shut, **closed(schema)}, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        best = jsonschema.exceptions.best_match(validator.iter_errors(body))
        if best is not None:
            return f"at {best.json_path}: {best.message[:2000]}"
        return None

    def answer(self, seen):
        """What is wrong with one answer, and where it belongs."""
        if "schema" in seen:
            return seen["schema"], self.check({"$ref": SCHEMAS + seen["schema"]}, seen["body"])
        where = f"{seen['method']} {seen['path']} {seen['status']}"
        operation = self.document["paths"].get(seen["path"], {}).get(seen["method"].lower())
        if operation is None:
            return where, "no such operation"
        if str(seen["status"]) not in operation["responses"]:
            return where, "no such status"
        response = self.resolved(operation["responses"][str(seen["status"])])
        for name, header in response.get("headers", {}).items():
            header = self.resolved(header)
            value = seen["headers"].get(name.lower())
            if value is None:
                if header.get("required"):
                    return where, f"without {name}"
                continue
            value = int(value) if header["schema"].get("type") == "integer" else value
            if fault := self.check(header["schema"], value):
                return where, f"{name}: {fault}"
        content = response.get("content", {})
        if seen["body"] is None:
            return where, f"no body, but {list(content)}" if content else None
        if seen["media_type"] not in content:
            return where, f"{seen['media_type']} instead of {list(content)}"
        return where, self.check(content[seen["media_type"]].get("schema", {}), seen["body"])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = Document(json.load(file))
    seen, faults = set(), []
    for line in sys.stdin:
        where, fault = document.answer(json.loads(line))
        seen.add(where)
        if fault:
            faults.append(f"{where}: {fault}\n    {line[:2000]}")
    print(json.dumps(sorted(seen)))
    sys.exit("\n".join(faults) or 0)


main()
