"""Trains the demo graph on the synthetic scene and writes demo.xml, demo.bin and labels.txt beside this file.

    pip install torch==2.13.0        # for training only, in an environment of its own with this package installed
    python graphs/demo/train.py      # under half an hour on two CPU threads; fixed seeds
    python graphs/demo/evaluate.py   # mAP and distances on scenes it has not seen

An SSD of four feature maps on a depthwise-separable backbone, trained from scratch. Everything is written with operations of
opset1 into IR v10, so that OpenVINO 2021.4 (the last to drive an NCS2) and the current one load the same file.
"""

from __future__ import annotations

import argparse
import queue
import threading
import time
from pathlib import Path
from typing import Iterator, List, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncs_cluster.sources._scene import MIN_VISIBLE, Scene
from ncs_cluster.sources._scene_shapes import LABELS

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 320, 256
FRAME = (640, 480)
CLASSES = len(LABELS) + 1
"""Class 0 is background, as DetectionOutput has it."""
STRIDES = (8, 16, 32, 64)
SIZES = ((34, 54), (82, 122), (170, 240), (330, 450))
"""Two anchor sizes for each feature map, in pixels of the 640x480 frame."""
VARIANCES = (0.1, 0.1, 0.2, 0.2)
TRAIN_SEED = 1_000_000
"""Scenes of training have this seed and up; nobody else uses such seeds."""


def priors() -> np.ndarray:
    """Anchors [P, 4] as x1, y1, x2, y2 of 0..1, in the order of the heads' outputs: map, row, column, anchor."""
    boxes = []
    for stride, (small, large) in zip(STRIDES, SIZES):
        middle = (small * large) ** 0.5
        shapes = [(small, small), (large, large), (middle * 0.66, middle * 1.5), (middle * 1.4, middle * 0.7)]
        for row in range(HEIGHT // stride):
            for column in range(WIDTH // stride):
                cx, cy = (column + 0.5) * stride / WIDTH, (row + 0.5) * stride / HEIGHT
                for w, h in shapes:
                    half_w, half_h = w / FRAME[0] / 2, h / FRAME[1] / 2
                    boxes.append((cx - half_w, cy - half_h, cx + half_w, cy + half_h))
    return np.array(boxes, np.float32)


class Conv(nn.Module):
    """Convolution, batch norm, ReLU. Depthwise when `groups` equals the channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Block(nn.Module):
    """Depthwise 3x3, pointwise 1x1; the input is added where its shape allows."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = Conv(inputs, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        return x + y if self.skip else y


class Head(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, 3, groups=inputs)
        self.out = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.depthwise(x)).permute(0, 2, 3, 1).flatten(1)


class Detector(nn.Module):
    """Input [N, 3, 256, 320], BGR 0..255. Output: box offsets [N, P, 4] and class scores before softmax [N, P, 7]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 16, 3, 2)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Block(16, 32, 2), Block(32, 32), Block(32, 64, 2), Block(64, 64), Block(64, 64), Block(64, 64)),
                nn.Sequential(Block(64, 128, 2), Block(128, 128), Block(128, 128)),
                nn.Sequential(Block(128, 128, 2), Block(128, 128)),
                nn.Sequential(Block(128, 128, 2), Block(128, 128)),
            ]
        )
        self.boxes = nn.ModuleList([Head(c, 4 * 4) for c in (64, 128, 128, 128)])
        self.classes = nn.ModuleList([Head(c, 4 * CLASSES) for c in (64, 128, 128, 128)])

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        x = self.stem(x / 255.0)
        boxes, classes = [], []
        for stage, box, kind in zip(self.stages, self.boxes, self.classes):
            x = stage(x)
            boxes.append(box(x))
            classes.append(kind(x))
        return torch.cat(boxes, 1).unflatten(1, (-1, 4)), torch.cat(classes, 1).unflatten(1, (-1, CLASSES))


class Samples:
    """Frames of many scenes. A few dozen scenes are kept at a time; the oldest makes room for a new one now and then."""

    def __init__(self, scenes: int, frames_per_scene: int) -> None:
        self._rng = np.random.default_rng(0)
        self._frames_per_scene = frames_per_scene
        self._next_seed = TRAIN_SEED
        self._drawn = 0
        self._scenes: List[Scene] = []
        self._keep = scenes
        self._colour = np.empty((FRAME[1], FRAME[0], 3), np.uint8)
        self._depth = np.empty((FRAME[1], FRAME[0]), np.uint16)

    def sample(self) -> Tuple[np.ndarray, np.ndarray]:
        """One picture uint8 [256, 320, 3] and its boxes [n, 6]: x1, y1, x2, y2, label id, visible share."""
        rng = self._rng
        if self._drawn % self._frames_per_scene == 0:
            self._scenes = [*self._scenes, Scene(*FRAME, self._next_seed, min_visible=0.0)][-self._keep :]
            self._next_seed += 1
        self._drawn += 1
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        truth = scene.draw(int(rng.integers(1 << 20)), float(rng.uniform(0, 3600)), self._colour, self._depth)
        boxes = np.array([(*t.box, t.label_id, t.visible) for t in truth], np.float32).reshape(-1, 6)
        picture = cv2.resize(self._colour, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
            boxes[:, [0, 2]] = 1 - boxes[:, [2, 0]]
        if rng.random() < 0.6:
            gain = rng.uniform(0.75, 1.25) * rng.uniform(0.94, 1.06, 3)
            picture = np.clip(picture * gain + rng.uniform(-18, 18), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(picture), boxes


def batches(samples: Samples, size: int, steps: int) -> Iterator[Tuple[Tensor, List[np.ndarray]]]:
    """Batches in a fixed order, drawn by one thread ahead of the training."""
    ready: queue.Queue[Tuple[Tensor, List[np.ndarray]]] = queue.Queue(4)

    def draw() -> None:
        for _ in range(steps):
            pairs = [samples.sample() for _ in range(size)]
            pictures = torch.from_numpy(np.stack([p for p, _ in pairs])).permute(0, 3, 1, 2)
            ready.put((pictures, [b for _, b in pairs]))

    threading.Thread(target=draw, daemon=True).start()
    for _ in range(steps):
        yield ready.get()


def match(boxes: np.ndarray, anchors: Tensor) -> Tuple[Tensor, Tensor]:
    """What each anchor should say: class [P] (0 background, -1 no matter) and box offsets [P, 4].

    An anchor takes the object it overlaps by IoU >= 0.5, every object its best anchor; 0.4 to 0.5 does not count, nor does
    what lies on an object that is too hidden to be in the truth.
    """
    target = torch.zeros(len(anchors), dtype=torch.long)
    offsets = torch.zeros(len(anchors), 4)
    if not len(boxes):
        return target, offsets
    truth = torch.from_numpy(boxes[:, :4])
    low, high = torch.maximum(anchors[:, None, :2], truth[None, :, :2]), torch.minimum(anchors[:, None, 2:], truth[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = (anchors[:, 2:] - anchors[:, :2]).prod(1)[:, None] + (truth[:, 2:] - truth[:, :2]).prod(1)[None] - shared
    iou = shared / area
    hidden = torch.from_numpy(boxes[:, 5] < MIN_VISIBLE)
    best, which = iou.max(1)
    target[best >= 0.4] = -1
    target[best >= 0.5] = torch.from_numpy(boxes[:, 4]).long()[which[best >= 0.5]]
    for n, anchor in enumerate(iou.argmax(0)):
        which[anchor] = n
        target[anchor] = int(boxes[n, 4])
    target[(target > 0) & hidden[which]] = -1
    chosen = truth[which]
    centre, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    moved = ((chosen[:, :2] + chosen[:, 2:]) / 2 - centre) / size / torch.tensor(VARIANCES[:2])
    grown = torch.log((chosen[:, 2:] - chosen[:, :2]) / size) / torch.tensor(VARIANCES[2:])
    return target, torch.cat([moved, grown], 1)


def loss_of(boxes: Tensor, classes: Tensor, targets: Tensor, offsets: Tensor) -> Tensor:
    """The loss of the SSD paper (Liu et al. 2016, section 2.2): three hard negatives for each positive."""
    positive = targets > 0
    count = positive.sum().clamp(min=1)
    each = F.cross_entropy(classes.transpose(1, 2), targets.clamp(min=0), reduction="none")
    negative = each.detach().masked_fill(targets != 0, -1)
    keep = (positive.sum(1) * 3).clamp(min=20)
    rank = negative.argsort(1, descending=True).argsort(1)
    hard = (rank < keep[:, None]) & (targets == 0)
    where = F.smooth_l1_loss(boxes[positive], offsets[positive], reduction="sum")
    return (each[positive].sum() + each[hard].sum() + where) / count


def train(steps: int, batch: int, peak: float, threads: int, log: int) -> Detector:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.use_deterministic_algorithms(True)
    model = Detector().to(memory_format=torch.channels_last)
    for head in model.classes:
        # Nearly everything is background: begin by saying so.
        head.out.bias.data = torch.tensor([2.0] + [0.0] * (CLASSES - 1)).repeat(4)
    mean = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.1)
    anchors = torch.from_numpy(priors())
    began, running = time.monotonic(), 0.0
    # A new scene every 400 frames: 160 rooms in all.
    for step, (pictures, truth) in enumerate(batches(Samples(24, 400), batch, steps), 1):
        pairs = [match(boxes, anchors) for boxes in truth]
        found = model(pictures.float().contiguous(memory_format=torch.channels_last))
        loss = loss_of(*found, torch.stack([t for t, _ in pairs]), torch.stack([o for _, o in pairs]))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(model)
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % log == 0 or step == 1:
            print(f"step {step}/{steps} loss {running:.3f} {time.monotonic() - began:.0f} s", flush=True)
    return mean.module.eval()


def folded(layer: Conv) -> Tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution with its batch norm worked into it."""
    norm = layer.norm
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (
        (layer.conv.weight * gain[:, None, None, None]).detach().numpy(),
        (norm.bias - norm.running_mean * gain).detach().numpy(),
    )


def export(model: Detector, folder: Path) -> None:
    """Writes demo.xml, demo.bin and labels.txt. The weights are stored as FP16."""
    import openvino as ov
    from openvino import opset1 as op

    def stored(values: np.ndarray) -> ov.Node:
        return op.convert(op.constant(values.astype(np.float16)), "f32")

    def integers(*values: int) -> ov.Node:
        return op.constant(np.array(values, np.int64))

    def conv(x: ov.Node, weight: np.ndarray, bias: np.ndarray, stride: int, groups: int) -> ov.Node:
        pad = [weight.shape[-1] // 2] * 2
        if groups > 1:
            y = op.group_convolution(x, stored(weight[:, None]), [stride] * 2, pad, pad, [1, 1])
        else:
            y = op.convolution(x, stored(weight), [stride] * 2, pad, pad, [1, 1])
        return op.add(y, stored(bias.reshape(1, -1, 1, 1)))

    def layer(x: ov.Node, one: Conv, scale: float = 1.0) -> ov.Node:
        weight, bias = folded(one)
        return op.relu(conv(x, weight * scale, bias, one.conv.stride[0], one.conv.groups))

    def block(x: ov.Node, one: Block) -> ov.Node:
        y = layer(layer(x, one.depthwise), one.pointwise)
        return op.add(x, y) if one.skip else y

    def head(x: ov.Node, one: Head) -> ov.Node:
        y = layer(x, one.depthwise)
        y = conv(y, one.out.weight.detach().numpy(), one.out.bias.detach().numpy(), 1, 1)
        return op.reshape(op.transpose(y, integers(0, 2, 3, 1)), integers(1, -1), special_zero=False)

    picture = op.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="image")
    x = layer(picture, model.stem, 1 / 255)
    boxes, classes = [], []
    for stage, box, kind in zip(model.stages, model.boxes, model.classes):
        for one in stage:
            x = block(x, one)
        boxes.append(head(x, box))
        classes.append(head(x, kind))
    scores = op.softmax(op.reshape(op.concat(classes, 1), integers(1, -1, CLASSES), special_zero=False), 2)
    anchors = priors()
    found = op.detection_output(
        op.concat(boxes, 1),
        op.reshape(scores, integers(1, -1), special_zero=False),
        op.constant(np.stack([anchors.reshape(-1), np.tile(np.float32(VARIANCES), len(anchors))])[None]),
        {
            "num_classes": CLASSES,
            "background_label_id": 0,
            "top_k": 100,
            "variance_encoded_in_target": False,
            "keep_top_k": [50],
            "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
            "share_location": True,
            "nms_threshold": 0.45,
            "confidence_threshold": 0.05,
            "clip_after_nms": False,
            "clip_before_nms": False,
            "decrease_label_id": False,
            "normalized": True,
            "input_height": 1,
            "input_width": 1,
            "objectness_score": 0.0,
        },
        name="detections",
    )
    graph = ov.Model([op.result(found)], [picture], "demo")
    ov.serialize(graph, str(folder / "demo.xml"), str(folder / "demo.bin"), "IR_V10")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--into", type=Path, default=HERE, help="folder to write to (default: this one)")
    given = parser.parse_args()
    model = train(given.steps, given.batch, given.learning_rate, given.threads, log=100)
    with torch.no_grad():
        export(model, given.into)


if __name__ == "__main__":
    main()
