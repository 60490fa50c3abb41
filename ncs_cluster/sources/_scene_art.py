"""What the synthetic scene is made of: six shapes and a room, painted once when the source opens.

Rule: everything here is a pure function of its random generator, costs some 0.3 s, and is never called per frame. Axes are
the camera's: x to the right, y down, z away from it, metres. Colours are BGR.
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
SIDE = 256
CREAM: Plane = np.array([0.84, 0.91, 0.93], np.float32)
LIGHT: Plane = np.array([-0.46, -0.62, -0.64], np.float32)
"""Unit vector towards the light: from the upper left, behind the camera."""

FLOOR_M, CEILING_M, WALL_M, BACK_M = 1.15, -1.45, 2.7, 6.9
FOCAL = 0.95
"""Focal length in frame widths, about that of a D435's colour camera."""


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


def sprite(label: str, rng: np.random.Generator, depth_gain: float) -> Sprite:
    """One shape, lit and in this scene's colour."""
    v, u = np.mgrid[-1 : 1 : 2j * SIDE * 2, -1 : 1 : 2j * SIDE * 2].astype(np.float32)
    tint = bgr(HUE[label] + rng.uniform(-0.03, 0.03), rng.uniform(0.50, 0.68), rng.uniform(0.80, 0.92))
    inside, colour, normal, depth = SHAPES[label](u, v, tint)
    facing = sum(n * light for n, light in zip(normal, LIGHT))
    gloss = np.maximum(facing, 0) ** 28 * (0.05 if label in ("cube", "star") else 0.32)
    lit = colour * (0.50 + 0.52 * np.maximum(facing, 0) - 0.10 * np.maximum(-facing, 0))[..., None] + gloss[..., None]
    bgra = cv2.merge([*cv2.split(np.clip(lit * 255, 16, 239).astype(np.float32)), np.full_like(u, 255)])
    image = cv2.resize(bgra * inside.astype(np.float32)[..., None], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    relief = (cv2.resize(depth, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) * SIZE_M[label] * 500 * depth_gain).astype(np.int16)
    levels = []
    while image.shape[0] >= 20:
        levels.append(Level(np.rint(image).astype(np.uint8), relief))
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        relief = np.ascontiguousarray(relief[1::2, 1::2])
    solid = inside > 0
    extent = float(np.abs(u[solid]).max()) / 2, float(np.abs(v[solid]).max()) / 2
    return Sprite(levels, extent, float(solid.mean()))


def _soft(rng: np.random.Generator, width: int, height: int, cells: int) -> Plane:
    """Soft blotches, mean 0, about -1..1."""
    grain = rng.normal(0, 0.5, (max(2, cells * height // width), cells)).astype(np.float32)
    soft: Plane = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return soft


def room(width: int, height: int, rng: np.random.Generator) -> Tuple[NDArray[np.uint8], Plane]:
    """An empty room: colour uint8 [height, width, 3] within 16..239, and depth float32 [height, width] in metres (0: glass)."""
    w, h = width * 2, height * 2
    focal = FOCAL * w
    dx = np.broadcast_to(((np.arange(w) - (w - 1) / 2) / focal).astype(np.float32), (h, w))
    dy = np.broadcast_to(((np.arange(h) - (h - 1) / 2) / focal).astype(np.float32)[:, None], (h, w))
    side_z = WALL_M / np.maximum(np.abs(dx), 1e-6)
    flat_z = np.where(dy > 0, FLOOR_M, -CEILING_M) / np.maximum(np.abs(dy), 1e-6)
    z = np.minimum(np.minimum(side_z, flat_z), BACK_M).astype(np.float32)
    x, y = dx * z, dy * z
    back, side = z >= BACK_M, (side_z < flat_z) & (side_z < BACK_M)
    floor, ceiling = ~back & ~side & (dy > 0), ~back & ~side & (dy < 0)

    wall = bgr(rng.choice([0.09, 0.11, 0.28, 0.40, 0.55, 0.58]), rng.uniform(0.10, 0.20), rng.uniform(0.76, 0.84))
    oak = bgr(rng.uniform(0.06, 0.09), rng.uniform(0.28, 0.42), rng.uniform(0.56, 0.70))
    accent = bgr(rng.uniform(0, 1), rng.uniform(0.18, 0.32), rng.uniform(0.55, 0.70))
    paint = np.empty((h, w, 3), np.float32)
    paint[:] = wall * (1 + 0.012 * _soft(rng, w, h, 160) + 0.02 * _soft(rng, w, h, 12))[..., None]
    paint[side] *= np.float32(0.93)
    paint[ceiling] = [0.87, 0.89, 0.90]

    # The floor: boards along z, each of its own tone, with joints and grain.
    board = np.floor(x / 0.19)
    along = z / 1.3 + board * 0.37
    tones = rng.uniform(-0.07, 0.07, 4096).astype(np.float32)
    tone = tones[(board * 31 + np.floor(along) * 7).astype(np.int32) % 4096]
    joint = np.maximum(np.abs(x / 0.19 - board - 0.5) > 0.482, np.abs(along - np.floor(along) - 0.5) > 0.494)
    grain = np.sin(x * 230 + 3 * np.sin(z * 2.1 + board)) * 0.012
    paint[floor] = (oak * (1 + tone + grain - 0.20 * joint)[..., None])[floor]
    rug_x, rug_z = rng.uniform(-0.5, 0.5), rng.uniform(4.2, 4.9)
    rug = ((x - rug_x) / 1.55) ** 2 + ((z - rug_z) / 0.95) ** 2
    paint[floor & (rug < 1)] = accent * 1.12
    paint[floor & (rug < 0.86)] = accent
    paint[floor & (np.abs(rug - 0.55) < 0.05)] = accent * 1.08

    wx, glass = _window(paint, back, x, y, rng)
    _picture(paint, back, x, y, -wx * 0.85, rng)
    skirting = ~floor & ~ceiling & (y > FLOOR_M - 0.12)
    paint[skirting] = [0.83, 0.86, 0.87]

    # Daylight: a pale patch on the floor below the window, dark corners where surfaces meet, a slight vignette.
    patch = np.exp(-(((x - wx * 0.6) / 0.7) ** 4) - ((z - 5.6) / 0.7) ** 4) * floor
    paint *= (1 + 0.12 * patch)[..., None]
    for surface, gap in ((~back, BACK_M - z), (~side, WALL_M - np.abs(x)), (~floor, FLOOR_M - y), (~ceiling, y - CEILING_M)):
        paint *= np.where(surface, 1 - 0.24 * np.exp(-np.maximum(gap, 0) / 0.30), 1).astype(np.float32)[..., None]
    paint *= (1.02 - 0.22 * (dx * dx + dy * dy))[..., None]
    small = cv2.resize(paint, (width, height), interpolation=cv2.INTER_AREA)
    z = np.where(glass, 0, z)[1::2, 1::2]
    return np.clip(small * 255, 16, 239).astype(np.uint8), np.ascontiguousarray(z, np.float32)


def _window(paint: Plane, back: NDArray[np.bool_], x: Plane, y: Plane, rng: np.random.Generator) -> Tuple[float, NDArray[np.bool_]]:
    """A window on the back wall, with hills behind it. Its x and its panes."""
    centre, half_w, top, bottom = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.95, 1.2)), 0.85, -1.05, 0.30
    u, v = (x - centre) / half_w, (y - top) / (bottom - top)
    frame = back & (np.abs(u) < 1.09) & (v > -0.06) & (v < 1.06)
    pane = back & (np.abs(u) < 1) & (v > 0) & (v < 1) & (np.abs(u) > 0.035) & (np.abs(v - 0.42) > 0.022)
    high, low, hue = bgr(0.56, 0.22, 0.88), bgr(0.10, 0.08, 0.92), rng.uniform(0.22, 0.38)
    sky = high + (low - high) * np.clip(v, 0, 1)[..., None]
    hills = v > 0.70 + 0.07 * np.sin(u * 2.3 + rng.uniform(0, 6)) + 0.03 * np.sin(u * 5.1 + rng.uniform(0, 6))
    near = v > 0.82 + 0.05 * np.sin(u * 3.1 + rng.uniform(0, 6))
    paint[frame] = [0.84, 0.87, 0.88]
    paint[pane] = np.where(near[..., None], bgr(hue, 0.25, 0.66), np.where(hills[..., None], bgr(hue, 0.17, 0.76), sky))[pane]
    return centre, pane


def _picture(paint: Plane, back: NDArray[np.bool_], x: Plane, y: Plane, centre: float, rng: np.random.Generator) -> None:
    """A framed print of soft horizontal bands."""
    u, v = (x - centre) / 0.52, (y + 0.42) / 0.40
    frame, paper, art = (back & (np.abs(u) < k) & (np.abs(v) < k2) for k, k2 in ((1.0, 1.0), (0.93, 0.91), (0.74, 0.66)))
    bands = np.clip(np.floor((v + 0.10 * np.sin(u * 2.5) + 0.7) * 3.2), 0, 4).astype(np.int32)
    start = rng.uniform(0, 1)
    tones = np.array([bgr(start + 0.035 * i, 0.18 + 0.05 * i, 0.84 - 0.06 * i) for i in range(5)], np.float32)
    paint[frame] = bgr(0.08, 0.30, 0.42)
    paint[paper] = [0.86, 0.88, 0.89]
    paint[art] = tones[bands][art]
