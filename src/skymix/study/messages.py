"""One sentence for the first mistake of a study: the key, its place, what is allowed."""

import difflib
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from skymix.study.model import Study

Location = tuple[int | str, ...]

_PHRASES = {
    "missing": "this key is missing",
    "string_pattern_mismatch": "a name starts with a letter and goes on with letters, digits, _, -",
    "model_type": "must be a section of its own, keys and values",
    "model_attributes_type": "must be a section of its own, keys and values",
    "dict_type": "must be a section of its own, keys and values",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "path_type": "must be the path of a file or folder",
}


def first_mistake(error: ValidationError, root: type[BaseModel] = Study) -> str:
    """Sentence about the first error of a section, the study if no other is named.

    An unknown key comes first, as it explains a missing one.
    """
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    kind, context = first["type"], first.get("ctx", {})
    path, annotation = _follow(first["loc"], root)
    if kind == "extra_forbidden":
        return _unknown_key(path, _keys_beside(first["loc"], root))
    place = ".".join(str(part) for part in path)
    if kind == "missing" and isinstance(path[-1], int):
        return f"{'.'.join(map(str, path[:-1]))}: value {path[-1] + 1} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        text = _unknown_kind(context.get("tag"), annotation)
    else:
        text = _sentence(kind, first["msg"], first.get("input"))
    return f"{place}: {text}" if place else text


def _unknown_key(path: list[int | str], allowed: list[str]) -> str:
    *parents, key = path
    where = f" in {'.'.join(map(str, parents))}" if parents else ""
    close = difflib.get_close_matches(str(key), allowed, n=1)
    guess = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown key '{key}'{where} (allowed: {', '.join(allowed)}){guess}"


def _unknown_kind(tag: str | None, annotation: Any) -> str:
    allowed = ", ".join(f"'{kind}'" for model in models_of(annotation) for kind in kinds_of(model))
    problem = f"'{tag}' is not a known kind" if tag else "'kind' is missing"
    return f"{problem}; allowed: {allowed}"


def _sentence(kind: str, message: str, value: Any) -> str:
    if kind in ("quantity", "value_error", "split_prior", "missing", "too_short"):
        return _PHRASES.get(kind, message.removeprefix("Value error, "))
    text = _PHRASES.get(kind, message.replace("Input should be", "must be"))
    given = f" (got {value!r})" if isinstance(value, str | int | float | bool | None) else ""
    return text + given


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Models among the options of an annotation, in its order."""
    return [part for part in _options(annotation) if _is_model(part)]


def kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Values that a model's `kind` may have; none if it has no kinds."""
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None else ()


def _follow(location: Location, root: type[BaseModel]) -> tuple[list[int | str], Any]:
    """Place as a user knows it, and the annotation there.

    Pydantic puts the names of union branches and validators between the keys; they are left out.
    """
    path: list[int | str] = []
    annotation: Any = root
    for part in location:
        inner, options = _step(annotation, part), models_of(annotation)
        branch = None if inner is not None and len(options) < 2 else _branch(options, part)
        if branch is not None:
            annotation = branch
        elif inner is not None or (options and part != "[key]"):
            path.append(part)
            annotation = inner
    return path, annotation


def _branch(options: list[type[BaseModel]], part: int | str) -> Any:
    """Option of a union that `part` names: by kind, by tag or by class."""
    for option in options:
        if part in kinds_of(option) or part in (option.__name__, _tag(option)):
            return option
    if part == "value" and options:
        return float
    return None


def _tag(model: type[BaseModel]) -> str:
    return model.__name__.split("[")[0].lower()


def _step(annotation: Any, key: int | str) -> Any:
    """Annotation of what lies below `key`; None if nothing can."""
    for option in _options(annotation):
        if _is_model(option) and key in option.model_fields:
            return option.model_fields[str(key)].annotation
        if get_origin(option) is dict and "[" not in str(key):
            return get_args(option)[1]
        if get_origin(option) is tuple and isinstance(key, int):
            return get_args(option)[0]
    return None


def _keys_beside(location: Location, root: type[BaseModel]) -> list[str]:
    _, annotation = _follow(location[:-1], root)
    return [key for model in models_of(annotation)[:1] for key in model.model_fields]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _options(annotation: Any) -> list[Any]:
    """Members of a union, annotations removed."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [option for member in get_args(annotation) for option in _options(member)]
    return [annotation]
