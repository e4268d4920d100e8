"""The certificate: how far a Gram matrix can be from optimal, from (objective, Gram matrix) alone.

The gap is computed in `slack.py` (`Slack.gap`; by kinds of atoms in `kind_slack.py`, of a million counts in
`kernel_slack.py`), the cosine residual in `residual.py`.
"""

from dataclasses import asdict, dataclass, replace
from typing import cast, overload

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ProblemError
from ..geometry.kernel import KernelGram
from ..geometry.kinds import KindGram, Kinds
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.logits.cross_entropy import CrossEntropy
from ..text import entry
from .kernel_slack import kernel_slack
from .kind_slack import KindSlack
from .logits import LogitCertificate, certify_logits
from .residual import cosine_residual
from .slack import Slack

# A repair above this is of another Gram matrix than the one given.
MOST_REPAIRED = 1e-6
_BALL = {
    True: "optimal too, lengths below 1 allowed",
    False: "not optimal: shorter vectors lower the loss",
    None: "not decided",
}


@dataclass(frozen=True)
class Certificate:
    """What is proved of a Gram matrix: L(H) >= value - gap for every H >= 0 with unit diagonal. See `certify`.

    Attributes:
        value: the loss of the repaired Gram matrix.
        gap: an upper bound of value - optimum: absolute, in nats.
        lower_bound: value - gap, below the loss of every Gram matrix on the sphere.
        excess: value minus the floor no geometry goes below.
        relative_gap: gap / excess. At low temperature the excess is of order e^{-1/tau}, and a gap that is small beside
            the value says nothing.
        cosine_residual: how far the cosines are from what stationarity says they must be, in units of cosine. Classes
            of the tail weigh so little that a small gap alone does not fix their cosines. Where many Gram matrices are
            optimal, as with a hinge that leaves room to its pairs, a small one says that an optimum is that near, not
            which.
        repair: how far the Gram matrix had to be moved towards the identity to be positive semidefinite: t of
            (1 - t) G + t I. All other numbers are of the matrix after it.
        feasible: whether `repair` is at most 1e-6: the cosines given are those of some unit vectors. An infeasible
            matrix is never proved optimal.
        rescaled: how far the diagonal of the matrix given was off 1, before G_ij was divided by sqrt(G_ii G_jj).
        ball_gap: the same bound if embeddings may lie anywhere in the unit ball.
        ball_optimal: True where `ball_gap` is at most 1e-9 of the excess, which proves the Gram matrix optimal over the
            ball too; False where shrinking some class lowers the loss; None where neither is proved.
    """

    value: float
    gap: float
    lower_bound: float
    excess: float
    relative_gap: float
    cosine_residual: float
    repair: float
    feasible: bool
    rescaled: float
    ball_gap: float
    ball_optimal: bool | None

    def holds(self, tol: float = 1e-9, *, cosine_tol: float = 1e-6) -> bool:
        """Whether the Gram matrix is proved optimal: feasible, relative gap and cosine residual both within tolerance.

        Raises:
            ProblemError: a tol that is not between 0 and 1.
        """
        check_tol(tol)
        return bool(self.feasible and self.relative_gap <= tol and self.cosine_residual <= cosine_tol)

    def lacking(self, tol: float = 1e-9) -> str:
        """What is not proved where the value is; "" where that is not proved either, or nothing is lacking."""
        if self.holds(tol) or not self.feasible or self.relative_gap > tol:
            return ""
        if np.isinf(self.cosine_residual):
            return "the value is proved, but forces that fix some cosines are below the rounding of float64"
        return "the value is proved, but not all cosines are"

    @property
    def smallest_eigenvalue(self) -> float:
        """Of the Gram matrix before its repair, t = -lambda / (1 - lambda), where that is negative; 0 elsewhere."""
        return -self.repair / (1.0 - self.repair)

    def to_dict(self) -> dict[str, float | bool | None]:
        """All numbers by name."""
        return {**asdict(self), "smallest_eigenvalue": self.smallest_eigenvalue}

    def lines(self) -> list[str]:
        """What is proved, in a few aligned lines, and what had to be changed of the matrix given."""
        given = []
        if self.rescaled > 1e-12:
            given.append(f"The diagonal given is off 1 by up to {self.rescaled:.2g}: it was rescaled to 1.")
        if not self.feasible:
            given += [
                f"No vectors have the cosines given: their smallest eigenvalue is {self.smallest_eigenvalue:.3g}.",
                f"What follows is about a repaired matrix, moved {self.repair:.2g} of the way to the identity.",
            ]
        gap = f"{self.relative_gap:.1e} of the loss above its floor"
        if self.relative_gap >= 1.0:
            gap = f"at most {self.relative_gap:.2g} times the loss above its floor: this proves nothing"
        lacking = self.lacking()
        return [
            *given,
            entry("loss", f"{self.value:.12g} nats"),
            entry("lower bound", f"{self.lower_bound:.12g} nats for every geometry on the sphere"),
            entry("gap", f"{self.gap:.1e} ({gap})"),
            entry("cosine residual", f"{self.cosine_residual:.1e}{lacking and f' ({lacking})'}"),
            entry("over the unit ball", _BALL[self.ball_optimal]),
        ]


def check_tol(tol: float) -> float:
    """The tolerance, or a ProblemError unless it is between 0 and 1."""
    if not isinstance(tol, (int, float, np.number)) or not 0 < tol < 1:
        raise ProblemError(f"tol: must be a number between 0 and 1; got {tol!r:.40} (1e-9 is the default)")
    return float(tol)


@overload
def certify(objective: CrossEntropy, gram: ArrayLike) -> LogitCertificate: ...
@overload
def certify(objective: Objective, gram: OrbitGram | KernelGram | ArrayLike, *, most: float = ...) -> Certificate: ...
def certify(
    objective: Objective | CrossEntropy, gram: OrbitGram | KernelGram | ArrayLike, *, most: float = np.inf
) -> Certificate | LogitCertificate:
    """The certificate of a Gram matrix for an objective, whichever solver, training run or guess it comes from.

    L is convex. With D its gradient at a feasible G, y_i = (D G)_ii and S = D - Diag(y), every unit-diagonal H >= 0 has

        L(H) >= L(G) + <D, H - G> = L(G) + <S, H> >= L(G) + m min(0, lambda_min(S)),

    so gap = m max(0, -lambda_min(S)), counted after the repair of G (no solver's dual is needed). lambda_min, or a
    lower bound as good, comes from the K x K form of S and carries an allowance for rounding, so a gap is never claimed
    below it. Where the loss has a kink, D is the subgradient closest to complementarity S G = 0. (Ours; the argument is
    standard convex duality.)

    Args:
        objective: the problem.
        gram: an OrbitGram on the objective's orbits (`Solution.orbits`), any (C, C) Gram matrix in the caller's class
            order, or a KernelGram of the objective's counts; for cross-entropy the (C, C) logits, see `certify_logits`.
        most: the relative gap above which the cosine residual, which may cost more than all else, is left at infinity.

    Raises:
        ProblemError: a Gram matrix of the wrong shape, not finite, asymmetric, or with a diagonal off 1 by over 1e-4.

    Cost: one Cholesky factor of size K (C for a plain matrix) where nothing collapses and G is nearly optimal; two
    symmetric eigenvalue problems elsewhere. O(K r^2) for a KernelGram of rank r, see `kernel_slack`.
    """
    if isinstance(objective, CrossEntropy):
        return certify_logits(objective, cast(ArrayLike, gram))
    if not hasattr(objective, "check"):
        raise ProblemError(
            f"objective: must come from a builder such as geomsolve.SupCon; got {type(objective).__name__}"
        )
    objective.check()
    rescaled, pays = 0.0, False
    if isinstance(gram, KernelGram):
        gram, repair = gram.repaired()
        floor, excess, gap, shrinking, residual = kernel_slack(objective, gram)
    else:
        given = gram
        objective, gram = on_orbits(objective, gram)
        if not isinstance(given, OrbitGram):
            rescaled = float(np.abs(np.diag(np.asarray(given)) - 1.0).max())
        gram, repair = gram.repaired()
        floor, excess = objective.floor, objective.excess(gram)
        slack = (KindSlack if isinstance(gram, KindGram) else Slack).of(objective, gram)
        gap = slack.gap + objective.untied(gram)
        residual = cosine_residual(slack) if _ratio(gap, excess) <= most else np.inf
        shrinking = float(gram.sizes @ np.maximum(slack.radial, 0.0))
        # Shrinking class i changes the loss at the rate -2 y_i: a clearly positive y_i is a descent direction.
        pays = bool(np.any(slack.radial > 1e-6 * slack.radial_scale))
    return Certificate(
        value=floor + excess,
        gap=gap,
        lower_bound=floor + (excess - gap),
        excess=excess,
        relative_gap=_ratio(gap, excess),
        cosine_residual=residual,
        repair=repair,
        feasible=repair <= MOST_REPAIRED,
        rescaled=rescaled,
        ball_gap=gap + shrinking,
        ball_optimal=False if pays else bool(_ratio(gap + shrinking, excess) <= 1e-9) or None,
    )


def on_orbits(objective: Objective, gram: OrbitGram | ArrayLike) -> tuple[Objective, OrbitGram]:
    """A Gram matrix by orbits, symmetric to the last digit, and the objective on the same orbits.

    Raises:
        ProblemError: as `certify`.
    """
    if not isinstance(gram, OrbitGram):
        gram, objective = OrbitGram.from_matrix(gram, objective.orbits), objective.ungrouped()
    elif isinstance(objective.orbits, Kinds) and objective.orbits.by_class.same_as(gram.orbits):
        objective = objective.by_class()
    elif not objective.orbits.same_as(gram.orbits):
        gram, objective = OrbitGram.from_matrix(gram.expand(), objective.orbits), objective.ungrouped()
    mirrored = gram.orbits.mirrored(gram.cosines)
    if not np.array_equal(gram.cosines, mirrored):  # NaN too
        asymmetry = 2.0 * float(np.abs(gram.cosines - mirrored).max())
        if not asymmetry <= 1e-9:
            raise ProblemError(f"gram: cosines must be finite and symmetric; they differ by {asymmetry:.3g}")
        gram = replace(gram, cosines=mirrored, slopes=None)
    return objective, gram


def _ratio(gap: float, excess: float) -> float:
    # No geometry attains the floor: an excess this small has underflowed, and the forces with it.
    return gap / excess if excess > 1e-290 else np.inf
