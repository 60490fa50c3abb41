"""Plugins that break one rule fail the check for it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin, Completed, Counted, DeviceInfo, Reading
from ncs_cluster.decoders import DECODERS
from ncs_cluster.decoders.base import DecoderPlugin
from ncs_cluster.errors import StickError
from ncs_cluster.policies import POLICIES
from ncs_cluster.policies.all import All, Options
from ncs_cluster.policies.base import Advice, PolicyPlugin, View
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources.base import Captured, Parsed, Planes, SourceInfo, SourcePlugin
from ncs_cluster.testing.conformance import BackendConformance, DecoderConformance, PolicyConformance, SourceConformance
from ncs_cluster.types import Detection, Outcome

MODULE = "broken_plugins"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Where descriptors find the broken code."""
    made = ModuleType(MODULE)
    made.Options = Options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, made)
    return made


def fails(check: Callable[..., None], *given: Any) -> None:
    """The check fails. What one raises that looks for another error counts too."""
    with pytest.raises((AssertionError, pytest.fail.Exception, ArithmeticError, StickError)):
        check(*given)


# -- backends


class Backend:
    """A sound one, but for what the sub-classes do."""

    wake_fd = None
    needs_frames = True
    name = "broken"

    def __init__(self, time_scale: float) -> None:
        self.due_s: float | None = None
        self.waiting: list[int] = []

    def open(self, stick: Any, graphs: Any, phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        if stick.options:
            raise StickError("open", "unknown option")
        return DeviceInfo(self.name, False, 2)

    def submit(self, tag: int, graph: int, image: Any) -> None:
        self.waiting.append(tag)
        self.due_s = time.monotonic()

    def collect(self) -> list[Completed]:
        done, self.waiting, self.due_s = [Completed(tag, None, 0.1) for tag in self.waiting], [], None
        return done

    def read_sensor(self) -> Reading:
        return Reading(None)

    def close(self) -> None: ...


class AnswersTwice(Backend):
    def collect(self) -> list[Completed]:
        done = super().collect()
        return done + done


class NothingToWaitFor(Backend):
    def submit(self, tag: int, graph: int, image: Any) -> None:
        self.waiting.append(tag)

    def collect(self) -> list[Completed]:
        return []


class Silent(Backend):
    def open(self, stick: Any, graphs: Any, phase: Callable[[str], None]) -> DeviceInfo:
        return DeviceInfo("broken", False, 2)


class TwoLines(Backend):
    name = "two\nlines"


class Feverish(Backend):
    def read_sensor(self) -> Reading:
        return Reading(40.0)


class Needy(Backend):
    def close(self) -> None:
        raise AttributeError("_device")


class Moody(Backend):
    def collect(self) -> list[Completed]:
        return [each._replace(outputs={"out": np.random.default_rng().random(9)}) for each in super().collect()]


@pytest.mark.parametrize(
    ("backend", "check"),
    [
        (AnswersTwice, "test_each_request_is_answered_once"),
        (NothingToWaitFor, "test_each_request_is_answered_once"),
        (Silent, "test_it_opens_says_what_it_is_and_closes"),
        (Silent, "test_unknown_options_are_refused_in_one_line"),
        (TwoLines, "test_it_opens_says_what_it_is_and_closes"),
        (Feverish, "test_a_device_without_a_sensor_has_no_temperature"),
        (Moody, "test_equal_frames_give_equal_outputs"),
    ],
)
def test_a_broken_backend_fails(module: ModuleType, monkeypatch: pytest.MonkeyPatch, backend: type[Backend], check: str) -> None:
    class Checks(BackendConformance):
        plugin = "broken"

    module.Backend, module.Sound = backend, Backend  # type: ignore[attr-defined]
    for name in ("Backend", "Sound"):
        plugin = BackendPlugin(
            name="broken",
            title="",
            driver=f"{MODULE}:{name}",
            options=f"{MODULE}:Options",
            counted=Counted(default=1, prefix="broken", port="broken"),
            needs_graph=False,
        )
        monkeypatch.setitem(BACKENDS.builtin, "broken", plugin)
        if name == "Sound":
            getattr(Checks(), check)()
        else:
            fails(getattr(Checks(), check))


def test_a_backend_that_cannot_be_closed_before_it_is_open_fails(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Checks(BackendConformance):
        plugin = "broken"

    module.Needy = Needy  # type: ignore[attr-defined]
    counted = Counted(default=1, prefix="broken", port="broken")
    plugin = BackendPlugin(name="broken", title="", driver=f"{MODULE}:Needy", options=f"{MODULE}:Options", counted=counted)
    monkeypatch.setitem(BACKENDS.builtin, "broken", plugin)
    with pytest.raises(AttributeError):
        Checks().test_it_can_be_closed_without_having_been_opened()


# -- decoders


def credulous(outputs: Any, graph: Any, transform: Any, options: Any) -> Outcome:
    values = [float(value) for array in outputs.values() for value in array.ravel()]
    return Outcome([Detection("x", 1, value, (0.0, 0.0, 1.0, 1.0)) for value in values])


def exact(outputs: Any, graph: Any, transform: Any, options: Any) -> Outcome:
    detections = credulous({"out": np.zeros(1)} if "out" in outputs else {}, graph, transform, options).detections
    for array in outputs.values():
        if not np.isfinite(array).all():
            raise ArithmeticError("no number")
    return Outcome(detections)


@pytest.mark.parametrize(
    ("decode", "check", "given"),
    [
        (credulous, "test_nonsense_is_skipped", (math.nan,)),
        (credulous, "test_nonsense_is_skipped", (-1.0,)),
        (exact, "test_nonsense_is_skipped", (math.inf,)),
        (credulous, "test_an_outcome_is_small_enough_for_a_workers_channel", ()),
    ],
)
def test_a_broken_decoder_fails(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, decode: Callable[..., Outcome], check: str, given: tuple[float, ...]
) -> None:
    class Checks(DecoderConformance):
        plugin = "broken"

        def outputs(self) -> dict[str, Any]:
            return {"out": np.full((1, 5000), 0.5, np.float32)}

    module.decode = decode  # type: ignore[attr-defined]
    plugin = DecoderPlugin(name="broken", title="", decode=f"{MODULE}:decode", options=f"{MODULE}:Options")
    monkeypatch.setitem(DECODERS.builtin, "broken", plugin)
    fails(getattr(Checks(), check), *given)


# -- policies


class Reckless(All):
    def advise(self, view: View) -> Advice:
        return Advice({stick.id: 1.0 for stick in view.sticks})


class Restless(All):
    def advise(self, view: View) -> Advice:
        return Advice({}, next_s=view.now_s)


class Deaf(All):
    asked = True


@pytest.mark.parametrize(
    ("policy", "check", "given"),
    [
        (Reckless, "test_only_usable_sticks_that_are_not_hot_work_and_never_more_than_the_cluster", (1,)),
        (Restless, "test_it_wants_to_be_asked_again_in_the_future", (0,)),
        (Restless, "test_some_stick_works_whenever_one_can", (0,)),
        (Deaf, "test_an_operators_wish_is_granted_or_dropped_in_the_end", ()),
    ],
)
def test_a_broken_policy_fails(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, policy: type[All], check: str, given: tuple[int, ...]
) -> None:
    class Checks(PolicyConformance):
        plugin = "broken"

    module.create = lambda spec, options: policy()  # type: ignore[attr-defined]
    plugin = PolicyPlugin(name="broken", title="", create=f"{MODULE}:create", options=f"{MODULE}:Options")
    monkeypatch.setitem(POLICIES.builtin, "broken", plugin)
    fails(getattr(Checks(), check), *given)


# -- sources


class Source:
    """A sound one of three frames, but for what the sub-classes do."""

    first = 0

    def __init__(self, options: Options) -> None:
        self.next = 0

    def open(self) -> SourceInfo:
        self.next = self.first
        return SourceInfo(4, 4, None, finite=True, description="three frames")

    def read(self, into: Planes) -> Captured | None:
        if self.next >= 3:
            return None
        self.next += 1
        into.colour[:] = self.next
        return Captured(time.monotonic(), time.time(), 4, 4)

    def close(self) -> None:
        self.next = 3


class Resurrected(Source):
    def read(self, into: Planes) -> Captured | None:
        captured = super().read(into)
        if captured is None:
            self.next = 0
        return captured


class Blank(Source):
    def read(self, into: Planes) -> Captured | None:
        return super().read(Planes(into.colour.copy()))


class TooLarge(Source):
    def read(self, into: Planes) -> Captured | None:
        captured = super().read(into)
        return None if captured is None else captured._replace(width=8)


class Forgetful(Source):
    def open(self) -> SourceInfo:
        self.first += 1
        return super().open()


@pytest.mark.parametrize(
    ("source", "check"),
    [
        (Resurrected, "test_a_finite_source_ends_and_stays_at_its_end"),
        (Blank, "test_it_says_what_it_gives_and_gives_frames_that_fit"),
        (TooLarge, "test_it_says_what_it_gives_and_gives_frames_that_fit"),
        (Forgetful, "test_opened_again_a_finite_source_begins_again"),
    ],
)
def test_a_broken_source_fails(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: type[Source], check: str
) -> None:
    class Checks(SourceConformance):
        plugin = "broken"

    module.Source, module.Sound = source, Source  # type: ignore[attr-defined]
    module.parse = lambda spec, find: Parsed({}, spec)  # type: ignore[attr-defined]
    for name in ("Source", "Sound"):
        plugin = SourcePlugin(
            name="broken",
            form="broken",
            driver=f"{MODULE}:{name}",
            options=f"{MODULE}:Options",
            parse=f"{MODULE}:parse",
            words=["broken"],
        )
        monkeypatch.setitem(SOURCES.builtin, "broken", plugin)
        if name == "Sound":
            getattr(Checks(), check)(tmp_path)
        else:
            fails(getattr(Checks(), check), tmp_path)
