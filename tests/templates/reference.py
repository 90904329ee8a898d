"""Renders templates with Jinja2, set up as `transformers` sets it up."""

import datetime
import json

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

NOW = 1_740_000_000  # 2025-02-19, in UTC


class Raised(jinja2.exceptions.TemplateError):
    """By the template itself."""


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks what a model has said, for training."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.CallBlock:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    @staticmethod
    def _text(caller: jinja2.runtime.Macro) -> str:
        return caller()


def raise_exception(message: str) -> None:
    raise Raised(message)


def tojson(value: object, ensure_ascii: bool = False, indent: object = None, separators: object = None,
           sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(form: str) -> str:
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)


def environment() -> jinja2.Environment:
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


def render(template: str, variables: dict) -> tuple[str, str]:
    """("text", what it writes), ("raised", its own words) or ("error", Python's)."""
    try:
        return "text", environment().from_string(template).render(**variables)
    except Raised as raised:
        return "raised", str(raised)
    except Exception as error:  # a template may fail in any way
        return "error", f"{type(error).__name__}: {error}"
