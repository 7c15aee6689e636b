"""The study file as a document: commented YAML and JSON schema, both made from the models."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from skymix.study.channels import with_free_channels
from skymix.study.load import STUDIES, AnyStudy, any_study_from_mapping
from skymix.study.messages import kinds_of, models_of
from skymix.study.model import Study
from skymix.study.observation import ObservationTable
from skymix.study.quantities import Default, Unit

_WIDTH = 100
_INDENT = "  "
_HEADER = (
    "# yaml-language-server: $schema=schema.json",
    "# Written by `skymix default-study`. docs/study-file.md says how a study is built;",
    "# `skymix validate` checks one.",
    "",
)


def commented_yaml(raw: Mapping[str, Any]) -> str:
    """Text of a study file in which every key is present and described.

    Keys that `raw` leaves out appear with their defaults; what it gives stays as it is written. A
    description is a comment above the first key it belongs to.

    Raises
    ------
    StudyError
        If `raw` is not a valid study.
    """
    study = any_study_from_mapping(raw)
    if isinstance(study, Study) and raw.get("observation_table"):  # its rows stay in their file
        given = {name: study.observations[name] for name in raw.get("observations") or {}}
        table = ObservationTable.model_validate(raw["observation_table"])
        study = study.model_copy(update={"observations": given, "observation_table": table})
    filled = _fill(study.model_dump(mode="json"), with_free_channels(raw))
    return "\n".join([*_HEADER, *_section(study, filled, "", set())]) + "\n"


def _fill(complete: Any, raw: Any) -> Any:
    """`complete` with each value written as in `raw` where `raw` has it."""
    if isinstance(complete, dict) and isinstance(raw, Mapping):
        return {key: _fill(value, raw.get(key, value)) for key, value in complete.items()}
    return raw


def _section(
    section: BaseModel, values: Mapping[str, Any], indent: str, seen: set[tuple[str, str]]
) -> Iterator[str]:
    fields = type(section).model_fields
    for name in sorted(fields, key=lambda name: name != "kind"):
        field = fields[name]
        if indent == "" and isinstance(values[name], dict):
            yield ""
        mark = (name, field.description or "")
        if mark not in seen:
            seen.add(mark)
            yield from _comment(mark[1], indent)
            if len(kinds := _kinds(field.annotation)) > 1:
                yield from _comment(f"Kinds: {', '.join(kinds)}.", indent)
        yield from _entry(name, getattr(section, name), values[name], indent, seen)


def _entry(
    name: str, item: Any, value: Any, indent: str, seen: set[tuple[str, str]]
) -> Iterator[str]:
    if isinstance(item, BaseModel):
        yield f"{indent}{name}:"
        yield from _section(item, value, indent + _INDENT, seen)
    elif isinstance(item, dict) and item:
        yield f"{indent}{name}:"
        for key, child in item.items():
            yield from _entry(key, child, value[key], indent + _INDENT, seen)
    elif isinstance(value, str) and len(value) > _WIDTH - len(indent) - len(name):
        yield f"{indent}{name}: >-"
        yield from _wrapped(value, indent + _INDENT)
    else:
        yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from _wrapped(text, f"{indent}# ")


def _wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _kinds(annotation: Any) -> list[str]:
    """Values of `kind` among the models of an annotation, in its order."""
    found = [kind for model in _direct_models(annotation) for kind in kinds_of(model)]
    return list(dict.fromkeys(found))


def _direct_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that an annotation names, those inside a mapping or list included."""
    yield from models_of(annotation)
    for part in get_args(annotation):
        if get_origin(annotation) not in (None, Literal):
            yield from _direct_models(part)


def study_models() -> list[type[BaseModel]]:
    """Every model that a study can be made of, in the order in which the study names them."""
    found: dict[type[BaseModel], None] = {}
    waiting: list[type[BaseModel]] = list(STUDIES.values())
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found[model] = None
            for field in model.model_fields.values():
                waiting.extend(_direct_models(field.annotation))
    return list(found)


class _Schema(GenerateJsonSchema):
    # Defaults with a unit are written as text below.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the study file."""
    schema = TypeAdapter(AnyStudy).json_schema(schema_generator=_Schema)
    schema = _rename_definitions(schema)
    tables = schema["$defs"]
    for model in study_models():
        table = tables[_definition(model.__name__)]
        table["description"] = inspect.getdoc(model)  # pydantic forgets it for generic models
        properties = table["properties"]
        for name, field in model.model_fields.items():
            if isinstance(field.default, Default):
                unit = next(_units([field.annotation, *field.metadata]))
                properties[name]["default"] = unit.format(field.default)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_of_domain(),
        "$defs": _tidy(tables, names=True),
    }


def _of_domain() -> dict[str, Any]:
    """One of the studies, chosen so that an editor speaks of the keys of the right one only."""
    chosen: dict[str, Any] = {"$ref": "#/$defs/Study"}
    for domain, model in reversed(STUDIES.items()):
        if model is not Study:
            chosen = {
                "if": {"properties": {"domain": {"const": domain}}, "required": ["domain"]},
                "then": {"$ref": f"#/$defs/{model.__name__}"},
                "else": chosen,
            }
    return chosen


def _rename_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """Name each definition after its model; pydantic numbers those of generic models."""
    text = json.dumps(schema)
    for old, table in schema["$defs"].items():
        new = _definition(table["title"])
        text = text.replace(f'"#/$defs/{old}"', f'"#/$defs/{new}"')
        text = text.replace(f'"{old}": {{', f'"{new}": {{')
    renamed: dict[str, Any] = json.loads(text)
    renamed["$defs"] = dict(sorted(renamed["$defs"].items()))
    return renamed


def _definition(model_name: str) -> str:
    return re.sub(r"\W+", "_", model_name).strip("_")


def _units(parts: Any) -> Iterator[Unit]:
    for part in parts:
        if isinstance(part, Unit):
            yield part
        else:
            yield from _units(get_args(part))


def _tidy(node: Any, names: bool = False) -> Any:
    """Close mappings to ill-named keys, and drop the titles, which only repeat the keys.

    `names` says that the keys of `node` are names of fields and not words of JSON schema.
    """
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {
        key: _tidy(value, key in ("properties", "$defs") and not names)
        for key, value in node.items()
        if names or key != "title"
    }
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy
