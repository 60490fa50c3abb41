"""Whether the inferences of one kind take longer than they did: a change point in the logarithm of their time.

A host that is busy delays some answers, a device that throttles delays all. So times are judged in blocks of BLOCK by the shortest
one. Of a request that waits on the device for the one before, the time begins with that one's answer: where this is read late, the
time is short by as much, so the mean of the block counts, in which that cancels. "Shortest" below is either one.

With m the median and s the spread (1.4826 x median absolute deviation) of ln(shortest) over the first 16 blocks, then 32, 64 and
128, and y = ln(shortest) - m of each later block, two cumulative sums (Page, "Continuous inspection schemes", Biometrika 41, 1954)
look for a step up and for a step down:

    k = max(ALLOWANCE, 1.2 s)
    up   = max(0, up   + clip(y, -2k, 2k) - k)         slower, from up >= 5k on
    down = max(0, down - clip(y, -2k, 2k) - k)         faster for good, from down >= 5k on: m becomes lower

One block adds at most k, so no less than five blocks are an alarm, however heavy the tails of the noise are. ALLOWANCE is half of
the smallest step that is looked for, ln 1.2, for which the sum grows by k with each block: it is found within 6 blocks. A baseline
learned from a slow device corrects itself when the device becomes faster; once learned it never rises.

`jitters`: the longest times of the blocks are further from the shortest than they were while the baseline was learned, or than
CLEAN: a baseline that was learned on a busy host says nothing of how an idle one answers.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

BLOCK = 4
LEARNED = (16, 32, 64, 128)
"""Blocks after which the baseline is computed: few say roughly what many say well."""
SPREADS = 1.2
ALLOWANCE = math.log(1.2) / 2
ALARM = 5.0
"""In allowances."""
RECENT = 5
"""Blocks whose median is the present excess."""
ENOUGH = 3
"""Blocks that may say that all is as usual."""
LEAST_JITTER, JITTER_SIGMAS = 0.05, 3.0
CLEAN = math.log(1.2)
HELD = 15
"""Blocks for which the times count as jittery after they were."""
_MAD_SIGMA = 1.4826


class ChangePoint:
    """Of the requests of one kind on one stick."""

    def __init__(self, *, queued: bool = False) -> None:
        """`queued`: a request of this kind waits on the device for another one."""
        self._queued = queued
        self.usual = 0.0
        """m: of ln(seconds)."""
        self.allowance = ALLOWANCE
        """k."""
        self.learned = False
        self._block: list[float] = []
        self._first: list[tuple[float, float]] | None = []
        """Shortest and width of the blocks from which the baseline is learned; None: learned for good."""
        self._most_width = 0.0
        self._up = self._down = 0.0
        self._excesses: deque[float] = deque(maxlen=RECENT)
        self._widths: deque[float] = deque(maxlen=RECENT)
        self._jittery = 0

    def add(self, took_s: float) -> bool:
        """An inference took so many seconds, more than 0. True: a block is full and the baseline known, so the answers below are
        new."""
        self._block.append(math.log(took_s))
        if len(self._block) < BLOCK:
            return False
        self._block.sort()
        width = self._block[-1] - self._block[0]
        shortest = math.log(sum(map(math.exp, self._block)) / BLOCK) if self._queued else self._block[0]
        self._block = []
        if self.learned:
            self._judge(shortest - self.usual, width)
        if self._first is not None and not self.slower:
            self._learn(shortest, width)
        return self.learned

    @property
    def slower(self) -> bool:
        """The time has risen."""
        return self._up >= ALARM * self.allowance

    @property
    def as_usual(self) -> bool:
        """The present time is about that of the baseline, or shorter."""
        return len(self._excesses) >= ENOUGH and self.excess < self.allowance

    @property
    def excess(self) -> float:
        """ln(present time / usual time); 0.0 before it is known."""
        return statistics.median(self._excesses) if self._excesses else 0.0

    @property
    def jitters(self) -> bool:
        return self._jittery > 0

    @property
    def usual_s(self) -> float:
        return math.exp(self.usual)

    def accept(self) -> None:
        """The present time is the usual one from now on."""
        self.usual += self.excess
        self._first = None
        self.begin_anew()

    @classmethod
    def like(cls, other: ChangePoint, allowance: float, *, queued: bool = False) -> ChangePoint:
        """With the baseline of another kind of request, from which this one's may differ by `allowance`."""
        point = cls(queued=queued)
        point.usual, point.allowance, point.learned = other.usual, allowance, True
        point._most_width, point._first = other._most_width, None
        return point

    def _learn(self, shortest: float, width: float) -> None:
        assert self._first is not None
        self._first.append((shortest, width))
        if len(self._first) not in LEARNED:
            return
        self.usual, spread = _centre([each for each, _ in self._first])
        usual_width, width_spread = _centre([each for _, each in self._first])
        self.allowance = max(ALLOWANCE, SPREADS * spread)
        self._most_width = usual_width + max(LEAST_JITTER, JITTER_SIGMAS * width_spread)
        self.learned = True
        self.begin_anew()
        if len(self._first) == LEARNED[-1]:
            self._first = None

    def _judge(self, excess: float, width: float) -> None:
        self._excesses.append(excess)
        self._widths.append(width)
        wide = len(self._widths) == RECENT and statistics.median(self._widths) > min(self._most_width, CLEAN)
        self._jittery = HELD if wide else max(0, self._jittery - 1)
        k = self.allowance
        step = max(-2 * k, min(2 * k, excess))
        # beyond the alarm a sum says nothing more, and it would take as long to fall as it took to rise
        self._up = min(ALARM * k, max(0.0, self._up + step - k))
        self._down = min(ALARM * k, max(0.0, self._down - step - k))
        if self._down >= ALARM * k and not self.jitters:
            self.accept()

    def begin_anew(self) -> None:
        """What it took lately counts no more; the baseline stays."""
        self._up = self._down = 0.0
        self._excesses.clear()


def _centre(values: list[float]) -> tuple[float, float]:
    """Median, and a standard deviation that single values do not move."""
    middle = statistics.median(values)
    return middle, _MAD_SIGMA * statistics.median(abs(each - middle) for each in values)
