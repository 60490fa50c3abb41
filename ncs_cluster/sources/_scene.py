"""The moving picture: six shapes float through a room, each at a known distance, and hide one another.

A frame is a pure function of (size, seed, frame time); everything constant is painted at the start, so a 640x480 frame costs about
1 ms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ncs_cluster.sources._scene_room import BACK_M, CEILING_M, FLOOR_M, FOCAL, WALL_M, room
from ncs_cluster.sources._scene_shapes import LABELS, SIZE_M, Sprite, sprite
from ncs_cluster.types import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH_SCALE_M = 0.001
MIN_VISIBLE = 0.25
"""Visible share below which an object is not in the truth: a person would not annotate it either."""
MIN_PIXELS = 80
NOISE_STEPS, NOISE_SHIFT = 9, 8
"""A depth d becomes d + d * n / 256 with n in 0..9, mean 4.5, deviation 1.7: 0.65 % noise. 9 * 7281 mm still fits 16 bits."""
DEPTH_GAIN = 1.0 / (1.0 + NOISE_STEPS / 2 / (1 << NOISE_SHIFT))
"""Factor of the stored depth before noise, which keeps the mean unchanged."""
STEREO_BASE_M = 0.02
"""Baseline of the simulated stereo imagers in metres: beside a near edge one imager is occluded, which leaves a hole."""


class Wave(NamedTuple):
    """A slow swing within -1..1: the sum of two sines, so that it varies and does not linger at its ends."""

    period_s: float
    phase: float

    def at(self, time_s: float) -> float:
        turns = time_s / self.period_s + self.phase
        return 0.65 * math.sin(2 * math.pi * turns) + 0.35 * math.sin(2 * math.pi * (1.618 * turns + 3.7 * self.phase))


class Body(NamedTuple):
    """One object and its path."""

    label_id: int
    sprite: Sprite
    near_m: float
    far_m: float
    x: Wave
    y: Wave
    z: Wave
    sway: Wave

    def position(self, time_s: float, aspect: float) -> Tuple[float, float, float]:
        """Centre in metres. It stays within the view and within the room; distance swings evenly in its logarithm."""
        z = self.near_m * (self.far_m / self.near_m) ** (0.5 + 0.5 * self.z.at(time_s))
        reach = min(0.92 * 0.5 / FOCAL * z, WALL_M - 0.4)
        tall = 0.80 * 0.5 / FOCAL * aspect * z
        top, bottom = max(-tall, CEILING_M + 0.4), min(tall, FLOOR_M - 0.3)
        return self.x.at(time_s) * reach, (top + bottom) / 2 + self.y.at(time_s) * (bottom - top) / 2, z


class Drawn(NamedTuple):
    """The drawn pixels of a body, kept until every nearer body is drawn."""

    body: Body
    roi: Tuple[slice, slice]
    depth: NDArray[np.uint16]
    pixels: float
    """Pixels of the body without occlusion."""


class Scene:
    """A room of `width` x `height` pixels with one object of each label."""

    def __init__(self, width: int, height: int, seed: int, min_visible: float = MIN_VISIBLE) -> None:
        rng = np.random.default_rng(seed)
        self._size = (width, height)
        self._min_visible = min_visible
        self._colour, room_m = room(width, height, rng)
        self._depth = np.rint(room_m * 1000 * DEPTH_GAIN).astype(np.uint16)
        self._bodies = [_body(n, width, rng) for n in range(1, len(LABELS) + 1)]
        blob = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j])
        self._shadow = (255 * np.clip(1.02 - blob, 0, 1) ** 1.5).astype(np.uint8)
        self._ids = np.zeros((height, width), np.uint8)
        self._nothing = np.zeros((height, width), np.uint16)
        self._scratch = np.empty(height * width, np.uint16)
        # Noise is a longer strip than the frame; each frame starts at another offset.
        rows = height + height // 2
        grain = rng.normal(0, 1.5, (rows, width, 1)) + rng.normal(0, 0.9, (rows, width, 3))
        self._grain = np.clip(np.rint(grain), -8, 8).astype(np.int8).view(np.uint8).reshape(-1)
        rough = cv2.GaussianBlur(rng.normal(0, 1, (rows, width)), (3, 3), 0.6)
        steps = NOISE_STEPS / 2 + rough / rough.std() * 1.7
        self._rough = np.clip(np.rint(steps), 0, NOISE_STEPS).astype(np.uint16).reshape(-1)
        blots = cv2.GaussianBlur(rng.normal(0, 1, (rows, width)), (0, 0), 1.6)
        self._holes = np.where(blots > np.quantile(blots, 0.988), 0, 0xFFFF).astype(np.uint16).reshape(-1)

    def draw(self, frame: int, time_s: float, colour: NDArray[np.uint8], depth: NDArray[np.uint16]) -> List[Truth]:
        """Paint frame number `frame`, as it is at `time_s`, into colour uint8 [height, width, 3] and depth uint16
        [height, width] (units of DEPTH_SCALE_M, 0 unknown), both C-contiguous. Returns the truth, farthest
        first."""
        width, height = self._size
        np.copyto(colour, self._colour)
        np.copyto(depth, self._depth)
        places = [(body.position(time_s, height / width), body) for body in self._bodies]
        places.sort(key=lambda place: -place[0][2])
        for (x, y, z), body in places:
            self._cast_shadow(colour, x, y, z, SIZE_M[LABELS[body.label_id - 1]])
        drawn = [self._place(colour, depth, body, x, y, z, body.sway.at(time_s)) for (x, y, z), body in places]
        truth = [found for found in (self._truth(one) for one in drawn if one is not None) if found is not None]
        for one in drawn:
            if one is not None:
                self._ids[one.roi] = 0
        self._sense(frame, colour.reshape(-1), depth.reshape(-1))
        return truth

    def _cast_shadow(self, colour: NDArray[np.uint8], x: float, y: float, z: float, size_m: float) -> None:
        width, height = self._size
        focal = FOCAL * width
        half_w, half_h = 0.6 * size_m * focal / z, 0.6 * size_m * focal * FLOOR_M / z / z
        cx, cy = width / 2 + focal * x / z, height / 2 + focal * FLOOR_M / z
        x0, x1 = max(0, int(cx - half_w)), min(width, int(cx + half_w) + 1)
        y0, y1 = max(0, int(cy - half_h)), min(height, int(cy + half_h) + 1)
        if x1 <= x0 or y1 <= y0:
            return
        warp = np.array([[half_w / 32, 0, cx - half_w - x0], [0, half_h / 32, cy - half_h - y0]], np.float32)
        blob = cv2.warpAffine(self._shadow, warp, (x1 - x0, y1 - y0))
        keep = cv2.convertScaleAbs(blob, alpha=-0.5 * math.exp(-(FLOOR_M - y) / 0.9), beta=255)
        roi = colour[y0:y1, x0:x1]
        cv2.multiply(roi, cv2.cvtColor(keep, cv2.COLOR_GRAY2BGR), dst=roi, scale=1 / 255)

    def _place(
        self, colour: NDArray[np.uint8], depth: NDArray[np.uint16], body: Body, x: float, y: float, z: float, sway: float
    ) -> Optional[Drawn]:
        width, height = self._size
        focal = FOCAL * width
        side = SIZE_M[LABELS[body.label_id - 1]] * focal / z
        cx, cy = width / 2 + focal * x / z, height / 2 + focal * y / z
        cos, sin = math.cos(0.12 * sway), math.sin(0.12 * sway)
        (half_w, half_h), levels = body.sprite.extent, body.sprite.levels
        reach_x, reach_y = side * (half_w * cos + half_h * abs(sin)) + 1, side * (half_h * cos + half_w * abs(sin)) + 1
        x0, x1 = max(0, int(cx - reach_x)), min(width, int(cx + reach_x) + 2)
        y0, y1 = max(0, int(cy - reach_y)), min(height, int(cy + reach_y) + 2)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        level = next(one for one in reversed(levels) if one.colour.shape[0] >= side or one is levels[0])
        scale = side / level.colour.shape[0]
        a, b = scale * cos, scale * sin
        middle = (level.colour.shape[0] - 1) / 2
        warp = np.array([[a, -b, cx - 0.5 - x0 - (a - b) * middle], [b, a, cy - 0.5 - y0 - (a + b) * middle]], np.float32)
        size = (x1 - x0, y1 - y0)
        painted = cv2.warpAffine(level.colour, warp, size)
        alpha = cv2.extractChannel(painted, 3)
        roi = (slice(y0, y1), slice(x0, x1))

        under = colour[roi]
        cv2.multiply(under, cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR), dst=under, scale=1 / 255)
        cv2.add(under, cv2.cvtColor(painted, cv2.COLOR_BGRA2BGR), dst=under)

        # Depth has no fine detail: half the resolution is enough.
        warp[:, 2] -= 0.5
        coarse = cv2.warpAffine(level.relief, warp / 2, ((size[0] + 1) // 2, (size[1] + 1) // 2), flags=cv2.INTER_NEAREST)
        coarse = (coarse + np.int16(round(z * 1000 * DEPTH_GAIN))).view(np.uint16)
        doubled = np.asarray(cv2.resize(coarse, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), np.uint16)
        at = doubled[: size[1], : size[0]]
        solid = (alpha > 127).view(np.uint8)
        blind = min(x0, int(STEREO_BASE_M * focal * (1 / z - 1 / BACK_M)))
        nothing = self._nothing[: size[1], : size[0]]
        for shift in (blind, 0):
            cv2.copyTo(nothing, solid, depth[y0:y1, x0 - shift : x1 - shift])
        cv2.copyTo(at, (alpha > 250).view(np.uint8), depth[roi])  # without the rim, where a camera sees half of each
        cv2.copyTo(np.full_like(solid, body.label_id), solid, self._ids[roi])
        return Drawn(body, roi, at, body.sprite.share * side * side)

    def _truth(self, one: Drawn) -> Optional[Truth]:
        """Box: the extent of the visible pixels. Distance: the median over them, before noise and holes."""
        width, height = self._size
        mine = (self._ids[one.roi] == one.body.label_id).view(np.uint8)
        pixels = cv2.countNonZero(mine)
        visible = min(1.0, pixels / one.pixels)
        if visible < self._min_visible or pixels < MIN_PIXELS:
            return None
        x, y, w, h = cv2.boundingRect(mine)
        x, y = x + one.roi[1].start, y + one.roi[0].start
        step = max(1, math.isqrt(pixels // 500))
        seen = one.depth[::step, ::step][mine[::step, ::step] > 0]
        median = float(np.partition(seen, seen.size // 2)[seen.size // 2])
        return Truth(
            label=LABELS[one.body.label_id - 1],
            label_id=one.body.label_id,
            box=(x / width, y / height, (x + w) / width, (y + h) / height),
            distance_m=round(median / DEPTH_GAIN * DEPTH_SCALE_M, 4),
            visible=round(visible, 3),
        )

    def _sense(self, frame: int, colour: NDArray[np.uint8], depth: NDArray[np.uint16]) -> None:
        """What a camera adds: grain in the colours, noise and holes in the depth."""
        spare = self._rough.size - depth.size
        start = frame * 7919 * 131 % spare
        # Colours lie within 16..239 and grain within -8..8, so adding modulo 256 is adding.
        np.add(colour, self._grain[start * 3 : start * 3 + colour.size], out=colour)
        np.multiply(depth, self._rough[start : start + depth.size], out=self._scratch)
        np.right_shift(self._scratch, NOISE_SHIFT, out=self._scratch)
        np.add(depth, self._scratch, out=depth)
        start = frame * 6007 * 257 % spare
        np.bitwise_and(depth, self._holes[start : start + depth.size], out=depth)


def _body(label_id: int, width: int, rng: np.random.Generator) -> Body:
    def wave(shortest_s: float, longest_s: float) -> Wave:
        return Wave(float(rng.uniform(shortest_s, longest_s)), float(rng.uniform(0, 1)))

    return Body(
        label_id=label_id,
        sprite=sprite(LABELS[label_id - 1], width, rng, DEPTH_GAIN),
        near_m=float(rng.uniform(0.7, 2.2)),
        far_m=float(rng.uniform(3.5, 6.0)),
        x=wave(22, 50),
        y=wave(15, 35),
        z=wave(40, 80),
        sway=wave(6, 14),
    )
