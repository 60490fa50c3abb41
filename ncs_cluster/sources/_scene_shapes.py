"""The six shapes of the synthetic scene, painted once when the source opens.

Rule: everything here is a pure function of its random generator, takes time, and is never called per frame. u and v run over
-1..1 to the right and down; z away from the camera. Colours are BGR.
"""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.floating[Any]]

LABELS = ("ball", "cube", "cone", "star", "ring", "bottle")
SIZE_M = {"ball": 0.30, "cube": 0.34, "cone": 0.39, "star": 0.40, "ring": 0.38, "bottle": 0.46}
"""Side of the square a shape is painted in."""
HUE = {"ball": 0.02, "cube": 0.60, "cone": 0.08, "star": 0.13, "ring": 0.45, "bottle": 0.33}
CREAM: Plane = np.array([0.84, 0.91, 0.93], np.float32)
STRIP = 64
"""All is painted at twice its size, this many rows at a time, which stays within the cache."""
LIGHT: Plane = np.array([-0.46, -0.62, -0.64], np.float32)
"""Unit vector towards the light: from the upper left, behind the camera."""


class Level(NamedTuple):
    """A shape as it is drawn, at one size."""

    colour: NDArray[np.uint8]
    """[side, side, 4] BGRA, premultiplied."""
    relief: NDArray[np.int16]
    """[side, side], mm from the shape's centre plane; negative is nearer to the camera."""


class Surface(NamedTuple):
    """A shape before it becomes a sprite: planes over u, v in -1..1."""

    inside: Plane
    colour: Plane
    normal: Tuple[Plane, Plane, Plane]
    depth: Plane


def bgr(hue: float, saturation: float, value: float) -> Plane:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value)[::-1], np.float32)


def _two_tone(first: Plane, tint: Plane) -> Plane:
    return np.where(first[..., None] > 0, tint, CREAM).astype(np.float32)


def _ball(u: Plane, v: Plane, tint: Plane) -> Surface:
    radius = 0.95
    w = np.sqrt(np.maximum(radius**2 - u * u - v * v, 0))
    # Six gores round an axis that leans towards the viewer, as on a beach ball.
    lean = math.cos(0.9) * w + math.sin(0.9) * v
    gores = np.sin(3 * np.arctan2(u, lean))
    return Surface((u * u + v * v < radius**2) * 1.0, _two_tone(gores, tint), (u / radius, v / radius, -w / radius), -w)


def _cube(u: Plane, v: Plane, tint: Plane) -> Surface:
    half, yaw, pitch = 0.57, 0.62, 0.46
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    turn = turn.astype(np.float32)
    start = [turn[i, 0] * u + turn[i, 1] * v for i in range(3)]
    enter, leave = np.full_like(u, -9), np.full_like(u, 9)
    face = np.zeros(u.shape, np.int8)
    for i in range(3):  # the slab test of a ray along z against the turned box
        near = (-np.sign(turn[i, 2]) * half - start[i]) / turn[i, 2]
        face[near > enter] = i
        enter = np.maximum(enter, near)
        leave = np.minimum(leave, (np.sign(turn[i, 2]) * half - start[i]) / turn[i, 2])
    normal = [np.choose(face, [-np.sign(turn[i, 2]) * turn[i, k] for i in range(3)]) for k in range(3)]
    at = [np.abs(start[i] + enter * turn[i, 2]) for i in range(3)]
    across = np.where(face == 0, np.maximum(at[1], at[2]), np.where(face == 1, np.maximum(at[0], at[2]), np.maximum(at[0], at[1])))
    panel = ((across > 0.62 * half) & (across < 0.74 * half)) * 1.0
    colour = tint * (1 - panel[..., None]) + CREAM * panel[..., None]
    return Surface((enter < leave) * 1.0, colour, (normal[0], normal[1], normal[2]), np.clip(enter, -1, 1))


def _turned(u: Plane, v: Plane, half: Plane, slope: Plane, colour: Plane, inside: Plane) -> Surface:
    """A solid of revolution about the vertical axis: `half` is its half width and `slope` its normal's y, per pixel."""
    s = np.clip(u / np.maximum(half, 1e-3), -1, 1)
    c = np.sqrt(1 - s * s)
    flat = np.sqrt(1 - slope * slope)
    return Surface(inside, colour, (s * flat, slope, -c * flat), -half * c)


def _cone(u: Plane, v: Plane, tint: Plane) -> Surface:
    top, base, wide, sag = -0.95, 0.74, 0.74, 0.20
    # Lines of equal height are ellipse arcs, since we look slightly down on it.
    share = np.clip((v - top) / (base - top), 0, 1.3)
    for _ in range(3):
        half = wide * np.clip(share, 0.02, 1)
        bend = sag * share * np.sqrt(np.maximum(1 - (u / half) ** 2, 0))
        share = np.clip((v - bend - top) / (base - top), 0, 1.3)
    half = wide * np.clip((v - top) / (base - top), 0, 1)
    inside = (np.abs(u) < half) & ((v < base) | ((u / wide) ** 2 + ((v - base) / sag) ** 2 < 1))
    bands = np.where((np.abs(share - 0.42) < 0.09) | (np.abs(share - 0.74) < 0.09), -1, 1)
    return _turned(u, v, half, np.full_like(u, -0.35), _two_tone(bands, tint), inside * 1.0)


def _star(u: Plane, v: Plane, tint: Plane) -> Surface:
    outer, inner, sector = 0.97, 0.44, math.pi / 5
    angle = np.arctan2(u, -v)
    turn = np.round(angle / (2 * sector)) * 2 * sector
    folded = np.abs(angle - turn)
    side = np.sign(angle - turn)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(folded), radius * np.sin(folded)
    # The edge from a tip (outer, 0) to a notch, by its unit normal (out_x, out_y).
    out_x, out_y = inner * math.sin(sector), outer - inner * math.cos(sector)
    length = math.hypot(out_x, out_y)
    level = 1 - (x * out_x + y * out_y) / (outer * out_x)
    facing = turn + side * math.atan2(out_y / length, out_x / length)
    normal = (0.62 * np.sin(facing), -0.62 * np.cos(facing), np.full_like(u, -0.78))
    return Surface((level > 0) * 1.0, np.broadcast_to(tint, (*u.shape, 3)), normal, -0.28 * np.clip(level, 0, 1))


def _ring(u: Plane, v: Plane, tint: Plane) -> Surface:
    middle, tube = 0.70, 0.26
    radius = np.maximum(np.hypot(u, v), 1e-3)
    s = np.clip((radius - middle) / tube, -1, 1)
    c = np.sqrt(1 - s * s)
    parts = np.where(np.cos(4 * np.arctan2(v, u) + 0.6) > -0.45, 1, -1)
    return Surface((np.abs(s) < 1) * 1.0, _two_tone(parts, tint), (s * u / radius, s * v / radius, -c), -tube * c)


def _bottle(u: Plane, v: Plane, tint: Plane) -> Surface:
    at = np.array([-0.96, -0.80, -0.79, -0.52, -0.40, -0.25, -0.12, 0.90, 0.96])
    half = np.interp(v, at, [0.19, 0.19, 0.145, 0.15, 0.22, 0.36, 0.41, 0.41, 0.36]).astype(np.float32)
    inside = (np.abs(u) < half) & (np.abs(v) < 0.96)
    slope = np.interp(v, at, [0, 0, 0, -0.2, -0.7, -0.6, 0, 0, 0.3]).astype(np.float32)
    arc = v - 0.05 * np.sqrt(np.maximum(1 - (u / 0.42) ** 2, 0))
    colour = np.where(((arc > 0.12) & (arc < 0.62))[..., None], CREAM, tint)
    colour = np.where(((arc > 0.31) & (arc < 0.43))[..., None], tint * 0.9, colour)
    colour = np.where((v < -0.795)[..., None], bgr(0.07, 0.35, 0.55), colour)
    return _turned(u, v, half, slope, colour.astype(np.float32), inside * 1.0)


SHAPES: Dict[str, Callable[[Plane, Plane, Plane], Surface]] = {
    "ball": _ball, "cube": _cube, "cone": _cone, "star": _star, "ring": _ring, "bottle": _bottle,
}  # fmt: skip


class Sprite(NamedTuple):
    levels: List[Level]
    """Largest first, each half the side of the one before."""
    extent: Tuple[float, float]
    """Half width and half height of what is not transparent, in sides."""
    share: float
    """Of the square, how much is not transparent."""


def sprite(label: str, width: int, rng: np.random.Generator, depth_gain: float) -> Sprite:
    """One shape, lit and in this scene's colour, as large as a frame of that width needs it."""
    side = int(1 << math.ceil(math.log2(0.3 * width)))
    tint = bgr(HUE[label] + rng.uniform(-0.03, 0.03), rng.uniform(0.50, 0.68), rng.uniform(0.80, 0.92))
    image: Plane = np.empty((side, side, 4), np.float32)
    relief = np.empty((side, side), np.int16)
    line = np.linspace(-1, 1, 2 * side, dtype=np.float32)
    for top in range(0, 2 * side, STRIP):
        u, v = np.meshgrid(line, line[top : top + STRIP])
        surface = SHAPES[label](u, v, tint)
        half = slice(top // 2, (top + STRIP) // 2)
        image[half] = cv2.resize(
            _lit(surface, 0.05 if label in ("cube", "star") else 0.32), (side, len(image[half])), interpolation=cv2.INTER_AREA
        )
        relief[half] = surface.depth[::2, ::2] * (SIZE_M[label] * 500 * depth_gain)
    levels = []
    while image.shape[0] >= 20:
        levels.append(Level(np.rint(image).astype(np.uint8), relief))
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
        relief = np.ascontiguousarray(relief[1::2, 1::2])
    solid = levels[0].colour[..., 3] > 127
    wide, tall = (np.abs(line[::2][solid.any(axis)]).max() / 2 for axis in (0, 1))
    return Sprite(levels, (float(wide), float(tall)), float(solid.mean()))


def _lit(surface: Surface, shine: float) -> Plane:
    """BGRA 0..255, premultiplied, of a surface under LIGHT: ambient, diffuse and a gloss."""
    nx, ny, nz = surface.normal
    facing = nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2]
    bright = np.maximum(facing, 0)
    gloss = bright
    for _ in range(5):  # to the 32nd power
        gloss = gloss * gloss
    light = 0.50 + 0.52 * bright - 0.10 * np.maximum(-facing, 0)
    lit = np.empty((*facing.shape, 4), np.float32)
    lit[..., :3] = np.clip((surface.colour * light[..., None] + (shine * gloss)[..., None]) * 255, 16, 239)
    lit[..., 3] = 255
    return lit * surface.inside[..., None]
