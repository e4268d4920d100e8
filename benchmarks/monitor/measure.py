"""What does the monitor cost in a training step? ResNet-18 on 32 x 32 images, batch 256, d = 128, C = 1000, one thread.

A step is forward, SupCon, backward and SGD of a ResNet-18 with the stem of CIFAR; an update is `Monitor.update` of its
embeddings, with the means of an earlier pass to judge by (NC4), in float64. Counts fall from 1280 to 5 as in
ImageNet-LT. Processor seconds, medians; the optimum, solved once in a thread of its own, is not in them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu

import geomsolve as gs

from ..record import Record, Table, parser

BATCH, DIM, CLASSES, SIDE = 256, 128, 1000, 32


class Block(nn.Module):
    """Two convolutions and what goes past them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.third, self.fourth = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        past = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.past = nn.Identity() if before == after else past

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features."""
        return relu(self.fourth(self.third(relu(self.second(self.first(x))))) + self.past(x))


def resnet18() -> nn.Module:
    """The network, with a linear projection to `DIM`."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for before, after in ((64, 64), (64, 128), (128, 256), (256, 512)):
        layers += [Block(before, after, after // before), Block(after, after, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, DIM))


def seconds(call: Callable[[], object], times: int) -> float:
    """Processor seconds of one call, the median of several."""
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return median(found)


def main() -> None:
    given = parser(__doc__).parse_args()
    batch, times = (8, 2) if given.quick else (BATCH, 5)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    counts = np.floor(1280 * 256.0 ** (-np.arange(CLASSES) / (CLASSES - 1)))
    labels = torch.tensor(np.random.default_rng(0).choice(CLASSES, size=batch, p=counts / counts.sum()))
    images, network = torch.randn(batch, 3, SIDE, SIDE), resnet18()
    optimizer, monitor = torch.optim.SGD(network.parameters(), 0.1), gs.training.Monitor(counts)

    def step() -> torch.Tensor:
        embeddings = network(images)
        optimizer.zero_grad()
        gs.training.losses.sup_con(embeddings, labels, 0.1).backward()
        optimizer.step()
        return embeddings.detach()

    embeddings = step()
    # A first pass over all classes, so that there are means to judge by.
    monitor.update(torch.randn(CLASSES, DIM), torch.arange(CLASSES))
    monitor.compute()
    update, whole = seconds(lambda: monitor.update(embeddings, labels), 5 * times), seconds(step, times)
    settings = {"batch": batch, "dim": DIM, "classes": CLASSES, "side": SIDE, "times": times}
    rows = [("a step of ResNet-18", 1e3 * whole), ("Monitor.update", 1e3 * update)]
    record = Record("monitor", __doc__, given, settings=settings)
    record.finish({"share of a step, %": round(100 * update / whole, 4)}, Table("Cost", ("what", "ms"), rows))


if __name__ == "__main__":
    sys.exit(main())
