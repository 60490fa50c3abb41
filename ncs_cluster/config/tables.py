"""The tables of what the daemon works with: cameras, pools, policies, graphs, interpreters, and how sticks are found."""

from __future__ import annotations

from typing import Any, Optional

from pydantic import ConfigDict

from ncs_cluster.backends import BACKENDS
from ncs_cluster.config.table import Table, key, named
from ncs_cluster.config.values import Background, Names, Picture, Places, Rate, Size, Threshold, Variables
from ncs_cluster.policies import POLICIES


class PolicyTable(Table):
    """`[policy]`: its name, and options that its plugin validates."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Optional[str] = key(None, "Which sticks work now: as --policy.")


class Camera(Table):
    """`[cameras.NAME]`: one frame source and what becomes of its frames. What is left out is as the flag of the same name says."""

    source: Optional[str] = key(None, "Where frames come from: as --source, without NAME=.")
    weight: float = key(
        1.0, "Its share of the sticks, beside the weights of the other cameras and of programs that send pictures.", gt=0, le=1000
    )
    size: Optional[Size] = key(None, "As --size, for this camera.")
    fps: Optional[Rate] = key(None, "As --fps, for this camera.")
    every_frame: Optional[bool] = key(None, "As --every-frame, for this camera.")
    loop: Optional[bool] = key(None, "As --loop, for this camera.")
    picture: Optional[Picture] = key(None, "As --picture, for this camera.")
    background: Optional[Background] = key(None, "As --background, for this camera.")
    window: Optional[bool] = key(None, "As --window, for this camera.")
    runtime: str = key("default", "The interpreter its process runs under: a [runtimes.NAME].")
    options: dict[str, Any] = key({}, "What only its kind of source understands: see Sources.")


class Pool(Table):
    """`[pools.NAME]`: sticks of one kind. What is left out is as the flag of the same name says."""

    backend: Optional[named(BACKENDS, "auto")] = key(  # type: ignore[valid-type]
        None, "As --backend, for this pool.", choices=["auto", *BACKENDS.builtin]
    )
    sticks: Optional[int] = key(None, "As --sticks, for this pool.", ge=1, le=256)
    cluster_size: Optional[int] = key(None, "As --cluster-size, for this pool.", ge=0, le=256)
    switch_interval: Optional[float] = key(None, "As --switch-interval, for this pool.", ge=0, le=1e6)
    switch_temp: Optional[float] = key(None, "As --switch-temp, for this pool.", ge=1, le=120)
    policy: Optional[PolicyTable] = key(None, "As --policy or [policy], for this pool.", choices=[*POLICIES.builtin])
    runtime: Optional[str] = key(None, "The interpreter its workers run under: a [runtimes.NAME].")
    options: dict[str, Any] = key({}, "Options of its backend; those left out are as the backend's table says.")


ON_HOST = [name for name, each in BACKENDS.builtin.items() if each.on_host]


class FallbackTable(Table):
    """`[fallback]`: what works while no stick can."""

    backend: Optional[named(BACKENDS, offered=ON_HOST)] = key(  # type: ignore[valid-type]
        None, "What drives it: as --fallback.", choices=ON_HOST
    )
    standby: bool = key(
        True,
        "Its process always runs, with its graphs loaded, and takes over at once. false: it is started when the last stick is "
        "left or all are near their limit, which saves its memory; frames may wait until it has loaded its graphs.",
    )
    runtime: Optional[str] = key(None, "The interpreter it runs under: a [runtimes.NAME].")
    options: dict[str, Any] = key({}, "Options of its backend, such as `threads`; those left out are as the backend's table says.")


class Graph(Table):
    """`[graphs.NAME]`: a graph folder under a name of your own."""

    path: Optional[str] = key(None, "The folder; without it, the shipped or pulled graph of this name.")
    threshold: Optional[Threshold] = key(None, "As --threshold, for this graph.")


class Runtime(Table):
    """`[runtimes.NAME]`: another interpreter, for children whose library needs one (Python 3.9 or newer)."""

    python: str = key(..., "Path of the interpreter.")
    env: Variables = key({}, "Added to the environment of its processes.")


class Discovery(Table):
    """`[discovery]`: how real sticks are found."""

    sysfs: str = key("/sys", "Where the kernel lists USB devices.")
    stagger_s: float = key(
        0.3, "Seconds from one stick's boot to the next one's: each draws its most current then. 0: all at once.", ge=0, le=60
    )
    exclude: Places = key(
        [],
        'USB ports whose devices are left alone, such as OAK cameras, which have the ids of a stick: "1-1.3" (bus 1), or "1.3" on '
        "any bus. A device that another program boots may come back at another port: name both.",
    )
    names: Names = key({}, 'Names of USB ports, for status, page and log: "1.2.3" = "front-left".')
