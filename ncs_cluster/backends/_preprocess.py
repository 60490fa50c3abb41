"""Frames into graph inputs: stretched or letterboxed, in the graph's layout, channel order and type.

All backends that preprocess on the host share this, so boxes map back to the frame alike. Runs on CPython 3.9; OpenCV is imported
by the first frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Tuple

from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import ResizeTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def preprocess(
    image: NDArray[np.uint8], spec: GraphSpec, width: int, height: int, out: NDArray[Any], layout: str
) -> ResizeTransform:
    """Write uint8 BGR [h, w, 3] into `out`, 3 * width * height values 0..255 of any type, in `spec.colour` order.

    `layout` is "NCHW" or "NHWC"; `out` may have any shape that reshapes to it without a copy. Mean and scale are
    part of the graph.
    """
    import cv2
    import numpy

    swapped = spec.colour == "RGB"
    if layout == "NHWC" and not swapped and out.dtype == numpy.uint8:
        return resize_into(image, spec, out.reshape(height, width, 3))
    pixels: NDArray[np.uint8] = numpy.empty((height, width, 3), numpy.uint8)
    transform = resize_into(image, spec, pixels)
    if layout == "NHWC":
        out.reshape(height, width, 3)[:] = pixels[:, :, ::-1] if swapped else pixels
        return transform
    planes = list(out.reshape(3, height, width))
    if swapped:
        planes.reverse()
    # ten times as fast as numpy's copies; cv2.split returns new planes where those given have another size or type
    for plane, laid in zip(planes, cv2.split(pixels, planes)):
        if laid is not plane:
            plane[:] = laid
    return transform


def resize_into(image: NDArray[np.uint8], spec: GraphSpec, into: NDArray[np.uint8]) -> ResizeTransform:
    """Resize uint8 BGR [h, w, 3] into uint8 [height, width, 3] by `spec.resize`: "stretch", or "letterbox", which keeps the
    aspect ratio."""
    height, width = into.shape[:2]
    if spec.resize != "letterbox":
        _resize(image, into)
        return ResizeTransform(width=width, height=height)
    rows, columns = image.shape[:2]
    inner_w, inner_h = inner_size(columns, rows, spec, width, height)
    left, top = (0, 0) if spec.align == "top-left" else ((width - inner_w) // 2, (height - inner_h) // 2)
    into[:top], into[top + inner_h :] = spec.padding, spec.padding
    into[:, :left], into[:, left + inner_w :] = spec.padding, spec.padding
    _resize(image, into[top : top + inner_h, left : left + inner_w])
    return ResizeTransform(inner_w / width, inner_h / height, left / width, top / height, width, height)


def inner_size(columns: int, rows: int, spec: GraphSpec, width: int, height: int) -> Tuple[int, int]:
    """Width and height that a frame of `columns` x `rows` has inside an input of `width` x `height`."""
    if spec.resize != "letterbox":
        return width, height
    ratio = min(width / columns, height / rows)
    return max(1, round(columns * ratio)), max(1, round(rows * ratio))


def _resize(image: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    import cv2

    resized = cv2.resize(image, (into.shape[1], into.shape[0]), dst=into, interpolation=cv2.INTER_LINEAR)
    if resized is not into:
        into[:] = resized
