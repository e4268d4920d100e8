"""Targets in PyTorch: the head's two losses, alignment to a checkpoint, .pt files."""

import subprocess
import sys

import numpy as np
import pytest

import geomsolve as gs

COUNTS = [30, 900, 7, 30, 30]


@pytest.fixture(scope="module")
def targets():
    return gs.targets(gs.SupCon(COUNTS, temperature=0.1), COUNTS, dim=8)


@pytest.mark.torch
@pytest.mark.parametrize("loss", ["cosine", "mse"])
def test_the_loss_by_its_formula(torch, targets, loss):
    z, labels = torch.randn(2, 6, 8, requires_grad=True), torch.tensor([0, 1, 2, 3, 4, 1])
    head = gs.training.TargetHead(targets, loss)
    found = head(z, labels[:, None])
    terms = []
    for point, label in zip(z.reshape(-1, 8), labels.repeat(2), strict=True):
        wanted = torch.tensor(targets.rows[label])
        terms.append(1 - point @ wanted / point.norm() if loss == "cosine" else (point - wanted).square().sum())
    assert torch.isclose(found, torch.stack(terms).mean(), rtol=1e-5)
    found.backward()
    assert z.grad.norm() > 0
    assert list(head.parameters()) == []
    assert head.state_dict()["targets"].shape == (5, 8)
    assert torch.equal(head.logits(torch.tensor(targets.rows)).argmax(dim=1), torch.arange(5))


@pytest.mark.torch
def test_alignment_finds_the_rotation_and_the_exchange(torch, targets):
    """Classes 0, 3 and 4 have equal counts; class 1 must not trade places, however near another row is."""
    assert targets.exchangeable == ((0, 3, 4),)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    means = targets.rows[[3, 1, 2, 4, 0]] @ turn * rng.uniform(0.5, 2.0, size=(5, 1))
    found = gs.training.aligned(targets, torch.tensor(means))
    cosines = np.einsum("ij,ij->i", found.rows, means) / np.linalg.norm(means, axis=1)
    assert cosines.min() > 1 - 1e-5
    np.testing.assert_allclose(found.rows @ found.rows.T, targets.rows @ targets.rows.T, atol=1e-5)
    assert found.seed is None
    # A trade that would move class 1 is not made: rows keep the geometry of their counts.
    crossed = targets.rows[[1, 0, 2, 3, 4]]
    kept = gs.training.aligned(targets, crossed)
    np.testing.assert_allclose(kept.rows @ kept.rows.T, targets.rows @ targets.rows.T, atol=1e-5)
    head = gs.training.TargetHead(targets, means=means)
    assert torch.allclose(head.targets, torch.tensor(found.rows))


@pytest.mark.torch
def test_pt_files_come_back_bit_for_bit(torch, targets, tmp_path):
    targets.save(tmp_path / "T.pt")
    again = gs.training.read_targets(tmp_path / "T.pt")
    np.testing.assert_array_equal(again.rows, targets.rows)
    assert (again.quality, again.exchangeable, again.counts) == ("certified", ((0, 3, 4),), tuple(COUNTS))
    held = torch.load(tmp_path / "T.pt", weights_only=True)
    assert held["metadata"]["loss"].startswith("SupCon")
    torch.save(torch.tensor(targets.rows), tmp_path / "plain.pt")
    assert gs.training.read_targets(tmp_path / "plain.pt").quality == "unknown"
    np.testing.assert_array_equal(gs.training.TargetHead(tmp_path / "T.pt").targets.numpy(), targets.rows)


class Trap:
    """What a pickle may run when it is read."""

    def __reduce__(self):
        return print, ("read",)


@pytest.mark.torch
def test_nothing_in_a_pt_file_is_run(torch, tmp_path, capsys):
    torch.save({"targets": Trap()}, tmp_path / "T.pt")
    with pytest.raises(gs.ProblemError, match=r"T\.pt must be a file of one float32 array"):
        gs.training.read_targets(tmp_path / "T.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.torch
def test_bad_input(torch, targets):
    with pytest.raises(gs.ProblemError, match="loss: must be one of cosine, mse; got 'dot'"):
        gs.training.TargetHead(targets, "dot")
    with pytest.raises(gs.ProblemError, match=r"means: must be finite numbers of shape \(5, 8\); got shape \(4, 8\)"):
        gs.training.aligned(targets, np.ones((4, 8)))


def test_without_torch_it_is_said():
    code = "import sys; sys.modules['torch'] = None; import geomsolve as gs; {}"
    for line in ("gs.training.TargetHead('T.npy')", "gs.training.read_targets('T.pt')"):
        done = subprocess.run([sys.executable, "-c", code.format(line)], capture_output=True, text=True, check=False)
        assert 'run: pip install ".[torch]"' in done.stderr
