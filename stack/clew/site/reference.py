"""Reference pages generated from their subjects: the Makefile, the click commands, the API's OpenAPI description."""

from __future__ import annotations

import html
import json
import re
import sys
from functools import cache
from typing import Any

import click

from clew import ladder
from clew.core import processes
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STACK

TARGET = re.compile(r"^([a-z%-]+):.*## (.+)$", re.MULTILINE)
SECTION = re.compile(r"^# --- (.+?) -+$")
ASK_API = """
import asyncio, json, httpx, main, taskqueue.codes
app = main.app
while not hasattr(app, "openapi"):
    app = app.app
async def refused():
    transport = httpx.ASGITransport(main.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        body = {"task_type": "calculate_var", "data": {"positions": [{"symbol": "AAPL", "quantity": 100, "price": -1}]}}
        answer = await client.post("/api/v1/tasks", json=body, headers={"X-Request-ID": "MY-TRACE-123"})
        return body, answer.status_code, dict(answer.headers), answer.json()
codes = {name: code._asdict() for name, code in taskqueue.codes.CODES.items()}
print("\\n" + json.dumps([app.openapi(), asyncio.run(refused()), codes]))
"""


def make_targets() -> str:
    """Return the Makefile's targets and their explanations as tables, a table a section of the Makefile."""
    parts: list[str] = []
    rows: list[str] = []
    for line in (ROOT / "Makefile").read_text().splitlines():
        section, target = SECTION.match(line), TARGET.match(line)
        if section:
            parts += rows
            rows = []
            name, _, example = section[1].partition(": ")
            parts += ["", f"### {name[0].upper()}{name[1:]}", "", *([f"`{example}`", ""] if example else [])]
        elif target:
            explanation = target[2].replace("|", "\\|")
            rows = rows or ["| `make` | what it does |", "|---|---|"]
            rows.append(f"| `{target[1].replace('stage-%', 'stage-N')}` | {explanation} |")
    return "\n".join([*parts, *rows])


def commands(cli: click.Group) -> str:
    """Return every `python -m clew` command with its options."""
    parts = []
    named = {
        f"{name} {inner}".strip(): command
        for name, one in cli.commands.items()
        for inner, command in (one.commands if isinstance(one, click.Group) else {"": one}).items()
    }
    for name, command in sorted(named.items()):
        context = click.Context(command, info_name=f"python -m clew {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"### {name}", "", command.help or "", "", "```sh", f"python -m clew {name} {usage}", "```", ""]
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        if options:
            parts += ["| option | what it does | environment |", "|---|---|---|"]
            parts += [
                f"| `{' '.join(option.opts)}` | {option.help or ''} | {f'`{option.envvar}`' if option.envvar else ''} |"
                for option in options
            ]
            parts.append("")
    return "\n".join(parts)


@cache
def ask_api() -> tuple[dict[str, Any], tuple[Any, ...], dict[str, dict[str, Any]]]:
    """Return the API's own description, a request that it refuses with the answer it gives, and the error codes: of
    each its `status`, `when` and `next_step`.

    In a process of its own: the application takes over logging, and a stage's modules are found only from its folder.
    """
    answer = processes.run(
        [sys.executable, "-c", ASK_API],
        60,
        separate=True,
        cwd=ladder.FIXED.folder / "fastapi-app",
        env={"PYTHONPATH": str(STACK), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if answer.code:
        raise ClewError(f"The API does not describe itself:\n{answer.errors[-800:]}", "make lint")
    description, refused, codes = json.loads(answer.output.splitlines()[-1])
    return description, tuple(refused), codes


def openapi_json() -> str:
    return json.dumps(ask_api()[0], indent=1) + "\n"


def http_api() -> str:
    """Return the API's operations and the schemas they use."""
    description, (body, status, headers, refused), _ = ask_api()
    schemas = description["components"]["schemas"]
    parts = []
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parts += _operation(method.upper(), path, operation)
    parts += ["## When a request is refused", "", _refused(body, status, headers, refused), ""]
    parts += ["## Schemas", ""]
    for name, schema in schemas.items():
        parts += _schema(name, schema)
    return "\n".join(parts)


def error_codes() -> str:
    """Return the stable error codes as a table, in the order of their statuses."""
    rows = [
        f"| `{name}` | {code['status']} | {_cell(code['when'])} | {_cell(code['next_step'])} |"
        for name, code in ask_api()[2].items()
    ]
    return "\n".join(["| code | status | when | what to do |", "|---|---|---|---|", *rows])


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    parts = [f"## {method} {path} {{ #{method.lower()}{re.sub('[^a-z0-9]+', '-', path)} }}", ""]
    parts += [operation.get("description", ""), ""]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        parts += [f"**Body:** {_type(body)}", ""]
    parts += ["| answer | body |", "|---|---|"]
    for status, answer in sorted(operation["responses"].items()):
        content = answer.get("content", {})
        schema = content.get("application/json", {}).get("schema")
        problem = "application/problem+json" in content
        shown = "[problem+json](#when-a-request-is-refused)" if problem else _type(schema) if schema else "JSON"
        parts.append(f"| {status} {answer['description']} | {shown} |")
    return [*parts, ""]


def _refused(body: Any, status: int, headers: dict[str, str], refused: Any) -> str:
    return "\n".join(
        [
            "The answer is `application/problem+json`: `code` is one of the [stable codes](errors.md), `detail` is a",
            "sentence, `errors` names the fields, `correlation_id` is the same as the `X-Request-ID` header. Nothing",
            "of the request reaches the queue. This answer was recorded while the site was built:",
            "",
            '```json title="POST /api/v1/tasks with X-Request-ID: MY-TRACE-123"',
            json.dumps(body, indent=2),
            "```",
            "",
            f'```json title="{status}, {headers["content-type"]}, X-Request-ID: {headers["x-request-id"]}"',
            json.dumps(refused, indent=2),
            "```",
        ]
    )


def _schema(name: str, schema: dict[str, Any]) -> list[str]:
    parts = [f"### {name}", "", _cell(schema.get("description", "")), ""]
    required = schema.get("required", [])
    parts += ["| field | type | default | limits and meaning |", "|---|---|---|---|"]
    for field, value in schema.get("properties", {}).items():
        default = f"`{json.dumps(value['default'])}`" if "default" in value else "required" if field in required else ""
        parts.append(f"| `{field}` | {_type(value)} | {default} | {_cell(_note(value))} |")
    for example in schema.get("examples", []):
        parts += ["", "```json", json.dumps(example, indent=2), "```"]
    return [*parts, ""]


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _options(schema: dict[str, Any]) -> list[dict[str, Any]]:
    options: list[dict[str, Any]] = schema.get("oneOf", []) or schema.get("anyOf", [])
    return options


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if _options(schema):
        return " or ".join(_type(option) for option in _options(schema))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _note(schema: dict[str, Any]) -> str:
    """What a schema says besides its type: limits, pattern, description."""
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
        "minItems": "at least (items)",
        "maxItems": "at most (items)",
        "pattern": "matches",
    }
    notes = [f"{words} {_number(schema[key])}" for key, words in limits.items() if key in schema]
    notes += [schema["description"]] if "description" in schema else []
    notes += [note for option in _options(schema) if (note := _note(option))]
    return "; ".join(notes)
