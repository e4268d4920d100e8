"""PyTorch, for the tests that need it."""

import pytest


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch: make test-torch")
