"""The message by which Home Assistant finds the daemon: one device, whose components are the entities of the daemon, its sticks and
its cameras. Format: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Pure. Runs on CPython 3.9.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, NamedTuple, Optional

from ncs_cluster.sinks._mqtt_names import entity

EXPIRE_S = 180
"""A temperature that is older counts as unknown."""
STATES = ["starting", "active", "standby", "draining", "resting", "parked", "backoff", "quarantined", "absent"]
"""Of a stick, as in the status."""
MOST_KEPT, LARGEST = 2000, 1_000_000
"""Components and bytes of an earlier message that are read."""

Component = Dict[str, Any]


class About(NamedTuple):
    """What does not change while the process runs."""

    node: str
    """Names the daemon among those of one broker."""
    prefix: str
    discovery_prefix: str
    page: Optional[str]
    """Address of the web page, for people."""
    version: str
    commands: bool
    image: bool

    @property
    def base(self) -> str:
        return f"{self.prefix}/{self.node}"

    @property
    def id(self) -> str:
        return f"ncs_cluster_{self.node}"

    @property
    def availability(self) -> str:
        return f"{self.base}/availability"

    @property
    def config(self) -> str:
        return f"{self.discovery_prefix}/device/{self.id}/config"


def payload(about: About, components: Dict[str, Component]) -> bytes:
    """JSON. Components with nothing but a platform are removed by Home Assistant."""
    device: Dict[str, Any] = {
        "identifiers": [about.id],
        "name": f"Neural compute sticks {about.node}",
        "manufacturer": "ncs_cluster",
        "model": "ncs-clusterd",
        "sw_version": about.version,
    }
    if about.page is not None:
        device["configuration_url"] = about.page
    document = {
        "device": device,
        "origin": {"name": "ncs_cluster", "sw_version": about.version},
        "availability_topic": about.availability,
        "components": components,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def removed(component: Component) -> Component:
    return {"platform": component["platform"]}


def kept(message: bytes) -> Dict[str, Component]:
    """The components of an earlier message, by their keys; empty where it is none: the broker's text is not ours to trust."""
    try:
        found = json.loads(message, parse_float=_number, parse_constant=_number) if len(message) <= LARGEST else {}
        parts = found["components"]
        return {
            key: part
            for key, part in list(parts.items())[:MOST_KEPT]
            if isinstance(part, dict) and isinstance(part.get("platform"), str) and len(part) > 1
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _number(text: str) -> float:
    """Raises ValueError for NaN and the infinities, also as 1e999: Python's module reads and writes them, and other readers
    refuse a message with one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return value


def daemon(about: About, *, fallback: bool = False) -> Dict[str, Component]:
    """`fallback`: it has one."""
    at = f"{about.base}/daemon"
    found = {
        "problem": _component(about, "binary_sensor", "problem", "Problem", at + "/problem")
        | {"device_class": "problem", "json_attributes_topic": at + "/reasons"},
        "detections": _component(about, "sensor", "detections", "Detections per second", at + "/detections_per_s") | _rate(),
        "active": _component(about, "sensor", "active", "Active cluster", at + "/active") | {"icon": "mdi:usb-flash-drive"},
    }
    if fallback:
        found["fallback"] = _component(about, "binary_sensor", "fallback", "Fallback works", at + "/fallback") | {
            "device_class": "running",
            "icon": "mdi:lifebuoy",
        }
    if about.commands:
        found["switch"] = {
            "platform": "button",
            "unique_id": f"{about.id}_switch",
            "default_entity_id": f"button.{entity(about.id)}_switch",
            "name": "Next cluster",
            "command_topic": f"{about.base}/command/switch",
        }
    return found


def stick(about: About, name: str, said: str) -> Dict[str, Component]:
    """`name`: its word in topics. `said`: its name for people."""
    at, key = f"{about.base}/stick/{name}", f"stick_{name}"
    diagnostic = {"entity_category": "diagnostic"}

    def made(part: str, text: str) -> Component:
        return _component(about, "sensor", f"{key}_{part}", f"{said} {text}", f"{at}/{part}")

    return {
        f"{key}_temperature": made("temperature", "temperature")
        | {
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "suggested_display_precision": 1,
            "expire_after": EXPIRE_S,
        },
        f"{key}_state": made("state", "state") | {"device_class": "enum", "options": STATES},
        f"{key}_fps": made("fps", "inferences per second") | _rate(),
        f"{key}_throttle_level": made("throttle_level", "throttle level") | {"state_class": "measurement"} | diagnostic,
        f"{key}_restarts": made("restarts", "restarts") | {"state_class": "total_increasing"} | diagnostic,
    }


def camera(about: About, name: str, said: str, labels: Dict[str, str]) -> Dict[str, Component]:
    """`labels`: the word of each label in topics."""
    at, key = f"{about.base}/camera/{name}", f"camera_{name}"
    found = {
        f"{key}_problem": _component(about, "binary_sensor", f"{key}_problem", f"{said} problem", f"{at}/problem")
        | {"device_class": "problem", "json_attributes_topic": f"{at}/about"}
    }
    for label, made in labels.items():
        part = f"{key}_label_{made}"
        found[f"{part}_occupancy"] = _component(
            about, "binary_sensor", f"{part}_occupancy", f"{said} {label}", f"{at}/label/{made}/occupancy"
        ) | {"device_class": "occupancy"}
        found[f"{part}_count"] = _component(
            about, "sensor", f"{part}_count", f"{said} {label} count", f"{at}/label/{made}/count"
        ) | {"state_class": "measurement"}
    if about.image:
        found[f"{key}_image"] = {
            "platform": "image",
            "unique_id": f"{about.id}_{key}_image",
            "default_entity_id": f"image.{entity(f'{about.id}_{key}')}",
            "name": said,
            "image_topic": f"{at}/image",
            "content_type": "image/jpeg",
        }
    return found


def _component(about: About, platform: str, key: str, name: str, topic: str) -> Component:
    return {
        "platform": platform,
        "unique_id": f"{about.id}_{key}",
        "default_entity_id": f"{platform}.{entity(f'{about.id}_{key}')}",
        "name": name,
        "state_topic": topic,
    }


def _rate() -> Component:
    return {"state_class": "measurement", "unit_of_measurement": "1/s", "suggested_display_precision": 1}


def topics_of(component: Component) -> List[str]:
    """Topics that hold its values."""
    return [component[name] for name in ("state_topic", "json_attributes_topic", "image_topic") if name in component]
