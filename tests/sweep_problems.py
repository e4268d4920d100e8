"""Sweeps that tests run: specs, what two stores must have in common, and an executor that fails when it is told to."""

import json
from concurrent.futures import Executor, Future

import numpy as np

TOML = """
[objective]
name = "gcl"
sampling = "unsupervised"
[counts]
majority = 1
minority = 9
per_class = 10
[grid]
ratio = [1, 2, 5, 10, 100]
temperature = [0.1, 0.5, 1.0]
negatives = [1, inf]
"""
SPEC = {
    "objective": {"name": "supcon"},
    "counts": {"rule": "long_tail", "classes": 6, "largest": 5000},
    "grid": {"ratio": [1, 3, 10, 30, 100], "temperature": {"from": 0.05, "to": 1, "num": 8, "scale": "log"}},
}
# 400 cheap points.
LARGE = """
[objective]
name = "supcon"
[counts]
majority = 2
minority = 3
per_class = 10
[grid]
ratio = { from = 1.5, to = 200, num = 20, scale = "log" }
temperature = { from = 0.1, to = 1, num = 10, scale = "log" }
views = [2, 3]
"""


def assert_same(one, two):
    """Equal to the last bit in every column except seconds."""
    assert list(one.columns) == list(two.columns)
    for name in one.columns:
        if name != "seconds":
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    for a, b in zip(one.cosines, two.cosines, strict=True):
        np.testing.assert_array_equal(a, b)


class Counting(Executor):
    """Runs everything at once, counts problems, and fails when it is told to."""

    def __init__(self, fail_after=None):
        self.keys, self.fail_after, self.tasks = [], fail_after, 0

    def submit(self, function, task):
        future = Future()
        self.tasks += 1
        if self.fail_after is not None and self.tasks > self.fail_after:
            future.set_exception(RuntimeError("a worker died"))
            return future
        assert json.loads(json.dumps({k: v for k, v in task.items() if k != "start"})), "plain things only"
        future.set_result(function(task))
        self.keys += [row["key"] for row in future.result()]
        return future
