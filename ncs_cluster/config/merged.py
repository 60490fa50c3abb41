"""The merged tree of file, environment and flags, and its validation by the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ncs_cluster.config.context import refusal
from ncs_cluster.config.flags import flag_of
from ncs_cluster.config.layers import Layers, Origin, from_environment, from_file, from_set, normal, value_of
from ncs_cluster.config.model import Keys, Root, root_for
from ncs_cluster.provision.places import expanded


def merged(flags: dict[str, Any], environ: Mapping[str, str]) -> Layers:
    """`flags`: as flags.parse gives them. Raises ConfigError."""
    layers, here = Layers(), Path.cwd()
    variables = list(from_environment(environ))
    named = next((text for path, _, text in variables if path == ("config",)), None)
    if (config := flags.pop("config", named)) is not None:
        path = expanded(config)
        layers.file = Origin("file", str(config), path.absolute().parent)
        tree, layers.lines = from_file(path)
        layers.put((), tree, layers.file)
    for key_path, name, text in variables:
        if key_path != ("config",):
            layers.put(key_path, value_of(text), Origin("environment", name, here, text, normal(key_path)))
    sets = flags.pop("set", [])
    for name, text in flags.items():
        number = isinstance(text, str) and any(word in str(Keys.model_fields[name].annotation) for word in ("int", "float"))
        layers.put((name,), value_of(text) if number else text, Origin("flag", flag_of(name), here, key=(name,)))
    for each in sets:
        key_path, text = from_set(each)
        layers.put(key_path, value_of(text), Origin("set", f"--set {'.'.join(key_path)}", here, text, normal(key_path)))
    return layers


def judged(layers: Layers) -> Root:
    """The validated keys. Raises ConfigError for the first that is wrong."""
    try:
        return validated(layers)
    except ValidationError as error:
        raise refusal(error, layers, root_for(layers.tree)) from error


def validated(layers: Layers) -> Root:
    """The merged tree, validated. A value that was parsed as TOML where the key takes text is taken as text again. Raises
    ValidationError."""
    model = root_for(layers.tree)
    try:
        return model.model_validate(layers.tree)
    except ValidationError as error:
        first = error
    for each in first.errors():
        path = tuple(str(part) for part in each["loc"])
        origin = layers.origins.get(path)
        if origin is not None and origin.text is not None and each["type"] in ("string_type", "list_type"):
            layers.put(path, [origin.text] if each["type"] == "list_type" else origin.text, origin)
    return model.model_validate(layers.tree)
