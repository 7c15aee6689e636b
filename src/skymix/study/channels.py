"""Annihilation channels with free branching fractions, written as one component.

A list of channels in place of their fractions stands for a component a channel, named
<component>-<channel>, which share all scanned parameters; the tree's leaf becomes a split of them.
"""

import re
from collections.abc import Mapping
from typing import Any


def with_free_channels(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same study with each list of channels written out.

    Parameters
    ----------
    raw : study as plain values, not checked yet; what is not a list of channels is left as it is

    Raises
    ------
    ValueError
        If a list is empty or names a channel twice.
    """
    components = raw.get("components")
    if not isinstance(components, Mapping):
        return dict(raw)
    leaves: dict[str, list[str]] = {}
    written: dict[Any, Any] = {}
    for name, settings in components.items():
        channels = _free_channels(settings)
        if channels is None:
            written[name] = settings
            continue
        if not channels or len(set(map(str, channels))) < len(channels):
            raise ValueError(
                f"components.{name}.spectrum.channels: a list of free channels must name at least"
                " one, and none twice"
            )
        parts = {_leaf(name, channel): channel for channel in channels}
        leaves[name] = list(parts)
        shared = _named_scans(settings, name)
        for leaf, channel in parts.items():
            spectrum = {**shared["spectrum"], "channels": {channel: 1}}
            written[leaf] = {**shared, "spectrum": spectrum}
    if not leaves:
        return dict(raw)
    return {**raw, "components": written, "tree": _with_splits(raw.get("tree"), leaves)}


def _free_channels(settings: Any) -> list[Any] | None:
    """List of channels of a component, None if it has none."""
    spectrum = settings.get("spectrum") if isinstance(settings, Mapping) else None
    channels = spectrum.get("channels") if isinstance(spectrum, Mapping) else None
    return list(channels) if isinstance(channels, list | tuple) else None


def _leaf(component: Any, channel: Any) -> str:
    return f"{component}-{re.sub('[^A-Za-z0-9]+', '_', str(channel))}"


def _named_scans(settings: Mapping[str, Any], component: Any) -> dict[str, Any]:
    """Settings whose scans carry the name that they would have in a single component."""
    named: dict[str, Any] = {}
    for field, value in settings.items():
        if not isinstance(value, Mapping):
            named[field] = value
        elif "min" in value and "max" in value:
            name = value.get("name") or f"{component}.{field}"
            named[field] = {**value, "name": name}
        else:
            named[field] = _named_scans(value, component)
    return named


def _with_splits(split: Any, leaves: Mapping[str, list[str]]) -> Any:
    """A split of the tree whose leaves of free channels are splits themselves."""
    if not isinstance(split, Mapping) or not isinstance(split.get("children"), Mapping):
        return split
    children = {}
    for name, child in split["children"].items():
        if name in leaves and (child is None or "children" not in child):
            children[name] = {**(child or {}), "children": dict.fromkeys(leaves[name])}
        else:
            children[name] = _with_splits(child, leaves)
    return {**split, "children": children}
