"""Cross-entropy with weight decay by three routes: ours, a conic program, descent on JAX's gradients.

50 random problems of up to 20 classes, counts to 1000 and random decays: the nuclear norm of the logits in cvxpy
(Clarabel), and L-BFGS over classifier and features from a random start. Both relative to our value, which is proved to
a relative gap of 1e-9.
"""

from __future__ import annotations

import sys
import warnings

from ..record import Record, Table, one_thread, parser

one_thread()  # before numpy is imported

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

import geomsolve as gs  # noqa: E402

PROBLEMS = 50
# By default Clarabel gives up early now and then.
PATIENCE = {
    **dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12),
    "static_regularization_constant": 1e-10,
    "min_switch_step_length": 1e-2,
    "min_terminate_step_length": 1e-6,
}


def routes(number: int) -> dict:
    """How far two other routes end from ours, relative to the value."""
    import cvxpy as cp
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng([22, number])
    classes = int(rng.integers(2, 21))
    counts = np.round(10 ** rng.uniform(0, 3, classes)) + 1
    decays = {"feature_decay": 10 ** rng.uniform(-6, -2), "classifier_decay": 10 ** rng.uniform(-4, -1)}
    found = gs.solve(gs.CrossEntropy(counts, **decays), throw=False)
    shares, root = counts / counts.sum(), np.sqrt(counts)
    logits = cp.Variable((classes, classes))
    loss = shares @ (cp.log_sum_exp(logits, axis=0) - cp.diag(logits))
    program = cp.Problem(cp.Minimize(loss + found.objective.decay * cp.normNuc(logits @ np.diag(root))))
    program.solve(solver="CLARABEL", accept_unknown=True, **PATIENCE)
    with jax.enable_x64(True):

        def free(flat):
            weights, features = flat.reshape(2, classes, classes)
            out = weights @ features
            value = jnp.asarray(shares) @ (jax.nn.logsumexp(out, axis=0) - jnp.diag(out))
            decay = jnp.asarray(counts) @ jnp.sum(features**2, axis=0) * decays["feature_decay"]
            return value + (decay + jnp.sum(weights**2) * decays["classifier_decay"]) / 2

        slope = jax.jit(jax.value_and_grad(free))
        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30}
        descent = minimize(
            lambda x: tuple(np.asarray(part, float) for part in slope(x)), rng.normal(size=2 * classes**2), jac=True,
            method="L-BFGS-B", options=options,
        )  # fmt: skip
    off = {"cvxpy": float(program.value), "JAX descent": float(descent.fun)}
    return {"route": {name: value / found.value - 1 for name, value in off.items()}}


def main() -> int:
    warnings.simplefilter("ignore")
    options = parser(__doc__).parse_args()
    number = 1 if options.quick else PROBLEMS
    record = Record("logits/routes", __doc__, options, key=("number",), settings={"problems": number})
    for index in range(number):
        if not record.has(number=index):
            record.add(number=index, **routes(index))
    off = [row["route"] for row in record.rows]
    ends = [(name, number, min(row[name] for row in off), max(row[name] for row in off)) for name in off[0]]
    worst = max(abs(end) for _, _, *both in ends for end in both)
    table = Table("Value over ours, less 1", ("route", "problems", "lowest", "highest"), ends)
    record.finish({"largest difference": worst}, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
