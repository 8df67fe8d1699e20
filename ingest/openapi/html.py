"""Pages for people, made from the OpenAPI document: one file each, no script, no other host."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

from ingest.reading.codes import CODE_MEANING

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--link:light-dark(#0b57d0,#8ab4f8)}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
a{color:var(--link)}
h1{line-height:1.2}h2{margin-top:3rem;border-bottom:1px solid var(--line)}h3{margin-top:2.2rem;overflow-wrap:anywhere}
code,pre{font:.88em/1.5 ui-monospace,monospace}
pre{background:var(--soft);padding:.8rem;border-radius:.4rem;overflow-x:auto;tab-size:2}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line)}
.method{display:inline-block;min-width:3.4rem;font-weight:700}
nav ul{columns:2 18rem;padding-left:1.1rem}
"""
_STYLE_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'",
    f"style-src 'sha256-{_STYLE_HASH}'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip

Part = dict[str, Any]


def front_page() -> str:
    """What stands at `/`."""
    return whole_page(
        "Fairpixel edge",
        "<h1>Fairpixel edge</h1><p>This address takes pixel hits and server-side events. There is nothing to see here,"
        ' but much to read:</p><ul><li><a href="/docs">how to send events</a></li>'
        '<li><a href="/openapi.json">the same for programs</a> (OpenAPI 3.1)</li>'
        '<li><a href="/asyncapi.json">the Kafka topics</a> (AsyncAPI 3.0)</li></ul>',
    )


def docs_page(document: Part) -> str:
    """The OpenAPI document as a page."""
    operations = list(_operations(document))
    tags = document["tags"]
    body = [
        f"<h1>{escape(document['info']['title'])}</h1>",
        paragraphs(document["info"]["description"]),
        '<p>For programs: <a href="/openapi.json">OpenAPI 3.1</a>, '
        '<a href="/asyncapi.json">AsyncAPI 3.0</a> of the topics. '
        "In the examples <code>$EDGE</code> is this address, such as <code>http://127.0.0.1:8000</code>.</p>",
        _contents(operations),
    ]
    for tag in tags:
        body.append(
            f'<h2 id="{tag["name"]}">{escape(tag["name"].capitalize())}</h2><p>{_inline(tag["description"])}</p>'
        )
        mine = [one for one in operations if tag["name"] in one[2]["tags"]]
        body.append(
            _list(mine)
            if tag["name"] == "compatible"
            else "".join(_operation(document, *one) for one in mine)
        )
    body.append('<h2 id="shapes">Shapes</h2>')
    body += [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    body.append('<h2 id="codes">Codes</h2>' + table(("code", "meaning"), CODE_MEANING.items()))
    return whole_page(document["info"]["title"], "\n".join(body))


def _operations(document: Part) -> Iterator[tuple[str, str, Part]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _contents(operations: list[tuple[str, str, Part]]) -> str:
    links = "".join(
        f'<li><a href="#{one["operationId"]}"><code>{method} {escape(path)}</code></a></li>'
        for method, path, one in operations
        if "compatible" not in one["tags"]
    )
    return f'<nav aria-label="Contents"><ul>{links}<li><a href="#compatible">compatible clients</a></li>' + (
        '<li><a href="#shapes">shapes</a></li><li><a href="#codes">codes</a></li></ul></nav>'
    )


def _list(operations: list[tuple[str, str, Part]]) -> str:
    return table(
        ("address", "what it is"),
        (
            (f"`{method} {path}`", f"{one['summary']}. {one['description']}")
            for method, path, one in operations
        ),
    )


def _operation(document: Part, method: str, path: str, operation: Part) -> str:
    parts = [
        f'<h3 id="{operation["operationId"]}"><span class="method">{method}</span> <code>{escape(path)}</code></h3>',
        f"<p><strong>{_inline(operation['summary'])}.</strong> {_inline(operation.get('description', ''))}</p>",
    ]
    parts += [f"<pre>{escape(sample['source'])}</pre>" for sample in operation.get("x-codeSamples", ())]
    if parameters := operation.get("parameters"):
        rows = (
            (f"`{one['name']}`" + (" (required)" if one.get("required") else ""), *_explain(one["schema"]))
            for one in parameters
        )
        parts.append(table(("parameter", "type", "meaning"), rows))
    if body := operation.get("requestBody"):
        rows = ((f"`{name}`", _type(one.get("schema", {})), "") for name, one in body["content"].items())
        parts.append(table(("Content-Type", "body", ""), rows))
    answers = ((f"`{status}`", _answer(document, one)) for status, one in operation["responses"].items())
    parts.append(table(("status", "meaning"), answers))
    return "".join(parts)


def _answer(document: Part, response: Part) -> str:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    shapes = [
        _type(one["schema"])
        for one in response.get("content", {}).values()
        if "$ref" in one.get("schema", {})
    ]
    return str(response["description"]) + (f" ({', '.join(shapes)})" if shapes else "")


def _shape(name: str, schema: Part) -> str:
    fields = schema.get("properties", {})
    required = schema.get("required", ())
    rows = (
        (f"`{field}`" + (" (required)" if field in required else ""), *_explain(one))
        for field, one in fields.items()
    )
    listed = table(("field", "type", "meaning"), rows) if fields else f"<p>{_inline(_type(schema))}</p>"
    return f'<h3 id="{name}">{name}</h3><p>{_inline(schema.get("description", ""))}</p>{listed}'


def _explain(schema: Part) -> tuple[str, str]:
    meaning = schema.get("description", "")
    if "enum" in schema and len(schema["enum"]) <= 10:
        meaning += f"; one of {', '.join(f'`{one}`' for one in schema['enum'])}"
    elif "enum" in schema:
        meaning += "; one of the codes below"
    if "maxLength" in schema:
        meaning += f"; at most {schema['maxLength']} characters"
    if "default" in schema:
        meaning += f"; `{schema['default']}` by default"
    return _type(schema), meaning.removeprefix("; ")


def _type(schema: Part) -> str:
    """The type in a few words; `[Name]` becomes a link."""
    if "$ref" in schema:
        return f"[{schema['$ref'].rsplit('/', 1)[1]}]"
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            return " or ".join(map(_type, schema[key]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kinds = schema.get("type", "text" if "enum" in schema else "anything")
    named = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return named + (f" ({schema['format']})" if "format" in schema else "")


def table(header: tuple[str, ...], rows: Any) -> str:
    """A table of cells, each text as `_inline` has it."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(one.replace(chr(10), ' '))}</p>" for one in text.strip().split("\n\n"))


def _inline(text: str) -> str:
    """Escaped text with `code`, **strong** and [Shape] marked up."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    marked = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)
    return re.sub(r"\[([A-Z]\w+)\]", r'<a href="#\1">\1</a>', marked)


def whole_page(title: str, body: str) -> str:
    """A page with our style, and nothing from elsewhere."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
