"""The only parser of settings: flags beat the environment, which beats the file, which beats defaults.

`load` gives plain `specs.Settings` or raises ConfigError with one line that names the file or flag, the key and the remedy.
pydantic judges every value; where each value came from is kept by `layers`, so that the line can say so.

    argv, environ, file -> layers (one tree, with origins) -> model (types, ranges) -> cameras, graphs, sticks, places -> Settings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ncs_cluster.config.cameras import cameras
from ncs_cluster.config.climate import ambient, fan
from ncs_cluster.config.context import Context, refusal
from ncs_cluster.config.flags import flag_of, parse
from ncs_cluster.config.graphs import graphs
from ncs_cluster.config.intakes import intakes
from ncs_cluster.config.layers import Layers, Origin, from_environment, from_file, from_set, normal, value_of
from ncs_cluster.config.listen import gateway
from ncs_cluster.config.model import Keys, Root, root_for
from ncs_cluster.config.mqtt import mqtt
from ncs_cluster.config.paths import runtime_dir, state_dir
from ncs_cluster.config.pools import pools
from ncs_cluster.config.resume import resumed
from ncs_cluster.config.runtimes import runtimes
from ncs_cluster.config.sinks import sinks
from ncs_cluster.provision.places import expanded
from ncs_cluster.specs import CameraSpec, GraphSpec, Settings, SinkSpec

__all__ = ["load"]


def load(argv: Sequence[str], environ: Mapping[str, str], *, job: bool = False, running: Settings | None = None) -> Settings:
    """Settings from a command line (without the program's name) and an environment. `job`: of a job, whose results may have the
    formats of jobs. `running`: those in effect, where a daemon reads its settings again: what was found at its start stays.
    Raises ConfigError; --help and --version print and raise SystemExit(0)."""
    layers = _layers(parse(argv), environ)
    return _settings(Context(_judged(layers), layers, environ, job=job, running=running))


def _settings(context: Context) -> Settings:
    found, fallback, plugins = pools(context)
    environments = runtimes(context)
    seen = cameras(context)
    written, page = sinks(context), gateway(context)
    wanted = graphs(context, plugins, seen)
    here = runtime_dir(context)
    return Settings(
        pools=found,
        graphs=wanted,
        cameras=_going_on(context, seen, wanted, written),
        runtimes=environments,
        runtime_dir=here,
        state_dir=state_dir(context),
        sinks=[*written, *mqtt(context, seen, wanted, page, here)],
        gateway=page,
        log_level=context.root.log_level,
        notices=context.notices,
        fan=fan(context),
        ambient=ambient(context),
        intakes=intakes(context, wanted),
        history_days=context.root.history_days,
        fallback=fallback,
    )


def _going_on(context: Context, seen: list[CameraSpec], graphs: Sequence[GraphSpec], sinks: Sequence[SinkSpec]) -> list[CameraSpec]:
    """Cameras that have results already go on behind them; those that run go on by themselves."""
    running = set() if context.running is None else {camera.name for camera in context.running.cameras}
    new = [camera for camera in seen if camera.name not in running]
    known = {camera.name: camera for camera in resumed(new, graphs, sinks, context.notices)}
    return [known.get(camera.name, camera) for camera in seen]


def _layers(flags: dict[str, Any], environ: Mapping[str, str]) -> Layers:
    layers, here = Layers(), Path.cwd()
    variables = list(from_environment(environ))
    named = next((text for path, _, text in variables if path == ("config",)), None)
    if (config := flags.pop("config", named)) is not None:
        path = expanded(config)
        layers.file = Origin("file", str(config), path.absolute().parent)
        layers.put((), from_file(path), layers.file)
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


def _judged(layers: Layers) -> Root:
    """The merged tree, validated. A value that was parsed as TOML where the key takes text is taken as text again."""
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
    try:
        return model.model_validate(layers.tree)
    except ValidationError as error:
        raise refusal(error, layers, model) from error
