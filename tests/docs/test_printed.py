"""The comparison of pages with what is printed tells numbers that differ from rounding."""

import pytest
from printed import difference


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 9.38276929657 nats", "loss  9.38276929658 nats", True),
        ("loss 9.38276929657 nats", "loss 9.38286929657 nats", False),
        ("gap 5.2e-18, in 0.02 s", "gap 3e-17, in 11.50 s", True),
        ("gap 5.2e-18", "gap 5.2e-8", False),
        ("rank 7", "rank 8", False),
        ("classes 1-7", "classes 1-6", False),
        ("certified", "uncertified", False),
        ("one\ntwo", "one", False),
        ("+0.25", "-0.25", False),
    ],
)
def test_numbers_are_compared_as_numbers(shown, printed, same):
    assert (difference(shown, printed) is None) == same
