"""Class counts: the published totals, the rules, every source, every fault."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import geomsolve as gs

# As published: classes, examples, largest, smallest, distinct counts.
PROFILES = {
    "imagenet_lt": (1000, 115_846, 1280, 5, 310),
    "places_lt": (365, 62_500, 4980, 5, 201),
    "inaturalist2018": (8142, 437_513, 1000, 2, 463),
    "lvis_v1_instance_count": (1203, 1_270_141, 50_552, 1, 592),
    "isic2019": (8, 25_331, 12_875, 239, 8),
    "creditcard_fraud": (2, 284_807, 284_315, 492, 2),
}


def test_every_shipped_profile_is_in_the_table():
    assert set(gs.profile_names()) == {*PROFILES, "cifar10_lt:IR", "cifar100_lt:IR"}


@pytest.mark.parametrize("name", PROFILES)
def test_profile_totals(name):
    counts = gs.load_counts(name)
    classes, examples, largest, smallest, distinct = PROFILES[name]
    assert counts.classes == counts.multiplicity.sum() == len(counts.per_class) == classes
    assert counts.total == counts.per_class.sum() == examples
    assert (counts.distinct[0], counts.distinct[-1], len(counts.distinct)) == (largest, smallest, distinct)
    assert np.all(np.diff(counts.distinct) < 0)
    assert np.all(np.diff(counts.per_class) <= 0), "profiles are histograms, largest class first"
    assert np.array_equal(np.bincount(counts.groups), counts.multiplicity)
    assert counts.imbalance_ratio == largest / smallest
    assert counts.name == name
    assert not counts.are_proportions


def test_isic_classes():
    assert sorted(gs.load_counts("isic2019").per_class) == [239, 253, 628, 867, 2624, 3323, 4522, 12875]


@pytest.mark.parametrize(
    ("rule", "classes", "largest", "sums"),
    [("cifar10_lt", 10, 5000, (20_431, 13_996, 12_406)), ("cifar100_lt", 100, 500, (19_573, 12_608, 10_847))],
)
def test_cifar_rules(rule, classes, largest, sums):
    for ratio, total in zip((10, 50, 100), sums, strict=True):
        counts = gs.load_counts(f"{rule}:{ratio}")
        assert counts.total == total
        assert counts.classes == classes
        assert counts.per_class[0] == largest
        assert np.array_equal(counts.per_class, np.sort(counts.per_class)[::-1])
        assert np.array_equal(counts.per_class, gs.long_tail_counts(classes, largest, ratio).per_class)


def test_cifar10_lt_100_class_by_class():
    assert gs.load_counts("cifar10_lt:100").per_class.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_long_tail_truncates_and_allows_ratio_one():
    # 100 * 0.1^(1/2) = 31.6: truncated, not rounded.
    assert gs.long_tail_counts(3, 100, 10).per_class.tolist() == [100, 31, 10]
    assert gs.long_tail_counts(4, 7, 1).per_class.tolist() == [7] * 4


def test_step_counts():
    counts = gs.step_counts(2, 3, 10, 4)
    assert counts.per_class.tolist() == [40, 40, 10, 10, 10]
    assert counts.distinct.tolist() == [40, 10]
    assert counts.multiplicity.tolist() == [2, 3]
    assert gs.step_counts(0, 2, 5, 9).per_class.tolist() == [5, 5]
    assert gs.step_counts(1, 1, 10, 0.5).per_class.tolist() == [5, 10], "a ratio below 1 turns the roles round"


def test_order_is_kept_and_equal_counts_share_a_group():
    counts = gs.as_counts([10, 1000, 100, 10, 1000])
    assert counts.per_class.tolist() == counts.values.tolist() == [10, 1000, 100, 10, 1000]
    assert counts.distinct.tolist() == [1000, 100, 10]
    assert counts.multiplicity.tolist() == [2, 1, 2]
    assert counts.groups.tolist() == [2, 0, 1, 2, 0]
    assert counts.proportions.tolist() == [1000 / 2120, 100 / 2120, 10 / 2120]
    assert gs.as_counts(counts) is counts


@given(st.lists(st.floats(1.0, 1e9), min_size=2, max_size=30))
def test_histogram_and_classes_say_the_same(numbers):
    counts = gs.as_counts(numbers)
    assert counts.per_class.tolist() == numbers
    assert math.isclose(counts.total, math.fsum(numbers), rel_tol=1e-13)
    assert math.isclose(counts.proportions @ counts.multiplicity, 1.0, rel_tol=1e-13)
    assert len(set(numbers)) == len(counts.distinct)


def test_proportions():
    counts = gs.as_counts([0.2, 0.5, 0.3])
    assert counts.are_proportions
    assert math.isclose(counts.total, 1.0, rel_tol=1e-15)
    assert np.allclose(counts.per_class, [0.2, 0.5, 0.3], rtol=1e-15)
    nearly = gs.as_counts([0.2, 0.5, 0.3 + 5e-7])
    assert math.isclose(nearly.total, 1.0, rel_tol=1e-15), "normalised"
    assert not gs.as_counts([1, 1]).are_proportions
    assert not gs.as_counts([0.5, 1.0]).are_proportions


def test_labels():
    assert gs.counts_from_labels(["cat", "dog", "cat", "ant"]).per_class.tolist() == [1, 2, 1]
    assert gs.counts_from_labels(np.array([7, 3, 7, 7, 5])).per_class.tolist() == [1, 1, 3]


def test_csv_with_byte_order_mark_and_proportions(tmp_path):
    path = tmp_path / "EXCEL.CSV"
    path.write_text("count\r\n0.25\r\n0.75\r\n", encoding="utf-8-sig")
    counts = gs.load_counts(str(path), column="count")
    assert counts.are_proportions
    assert counts.per_class.tolist() == [0.25, 0.75]


def test_numbers_in_text():
    assert gs.load_counts(" 1000, 100,10 ").per_class.tolist() == [1000, 100, 10]
    assert gs.load_counts("1e3,10").per_class.tolist() == [1000, 10]
    # 1000 classes on a command line are longer than any file name may be.
    assert gs.load_counts(",".join(["20", "10"] * 500)).classes == 1000


BAD_COUNTS = {
    "negative": ([3, -1, 2], "class 1 has -1"),
    "zero": ([3, 4, 0], "class 2 has 0.*leave out"),
    "nan": ([math.nan, 4], "class 0 has nan"),
    "empty": ([], "at least two classes; got none"),
    "single": ([12], r"at least two classes; got one \(count 12\)"),
    "words": (["many", "few"], "must be numbers"),
    "nothing": (None, "one-dimensional"),
    "two-dimensional": ([[1, 2], [3, 4]], r"one-dimensional.*\(2, 2\)"),
    "proportions": ([0.5, 0.4], "sum to 1; they sum to 0.9"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_COUNTS.values(), ids=BAD_COUNTS.keys())
def test_bad_counts(bad, message):
    with pytest.raises(gs.ProblemError, match=f"^counts: .*{message}"):
        gs.as_counts(bad)


BAD_FILES = {
    "no column": (b"class,colour\na,red\nb,blue\n", 'needs one column "count"; its columns are class, colour'),
    "no rows": (b"count\n", "got none"),
    "empty cell": (b"class,count\na,3\nb,\n", "line 3: .*must be a number; got ''"),
    "short row": (b"class,count\na,3\nb\n", "line 3: must have 2 columns; got 1"),
    "not text": (b"count\n\xff\xfe\x00\n", "not a CSV text file"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(gs.ProblemError, match=message):
        gs.load_counts(path)


def test_a_folder_is_no_file(tmp_path):
    folder = tmp_path / "counts.csv"
    folder.mkdir()
    with pytest.raises(gs.ProblemError, match="cannot read"):
        gs.load_counts(folder)


BAD = [
    (lambda: gs.load_counts("imagenet_rt"), 'unknown profile "imagenet_rt"; known are .*imagenet_lt'),
    (lambda: gs.load_counts("imagenet"), r"unknown profile .* \(did you mean imagenet_lt\?\)"),
    (lambda: gs.load_counts("ImageNet-LT"), "did you mean imagenet_lt"),
    (lambda: gs.load_counts("cifar10_lt"), 'write "cifar10_lt:IR", such as "cifar10_lt:100"; got "cifar10_lt"'),
    (lambda: gs.load_counts("cifar10_lt:high"), 'such as "cifar10_lt:100"; got "cifar10_lt:high"'),
    (lambda: gs.load_counts("cifar10_lt:0.5"), "at least 1; got 0.5"),
    (lambda: gs.load_counts("cifar100_lt:1000"), "leaves class 90 empty"),
    (lambda: gs.load_counts("9999999x2"), "at most 2,000,000 classes"),
    (lambda: gs.load_counts("no/such/file.csv"), "cannot read no/such/file.csv: No such file"),
    (lambda: gs.load_counts("counts.tsv"), "cannot read counts.tsv: No such file"),
    (lambda: gs.load_counts("10,few,3"), 'every entry must be a number; got "few" in "10,few,3"'),
    (lambda: gs.counts_from_labels([]), "non-empty"),
    (lambda: gs.counts_from_labels(3), r"one-dimensional array; got shape \(\)"),
    (lambda: gs.counts_from_labels([[1, 2], [2, 1]]), r"got shape \(2, 2\)"),
    (lambda: gs.counts_from_labels([1.0, math.nan, 2.0]), "must not contain NaN"),
    (lambda: gs.counts_from_labels(["a", "a"]), "at least two classes; got one"),
    (lambda: gs.counts_from_labels(["a", None, "b"]), "labels: "),
    (lambda: gs.long_tail_counts(1, 100, 10), "classes: must be at least 2; got 1"),
    (lambda: gs.long_tail_counts(3, 100, 0.9), "imbalance_ratio: .*got 0.9"),
    (lambda: gs.long_tail_counts(3, 10, 100), "leaves class 2 empty at ratio 100"),
    (lambda: gs.long_tail_counts(3, -5, 2), "largest"),
    (lambda: gs.step_counts(1, 0, 10, 2), "2 in all; got 1 and 0"),
    (lambda: gs.step_counts(1, 3, 10, 0), "imbalance_ratio: must be above 0; got 0"),
    (lambda: gs.step_counts(1, 3, -10, 2), "class 0 has -20"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_sources_labels_and_rules(call, message):
    with pytest.raises(gs.ProblemError, match=message):
        call()
