"""Realizability verdicts checked by descent: how near to the entropy bound do embeddings come?"""

from ..arrays import Progress
from ..objectives.weighted.weighted import WeightedInfoNCE
from ..objectives.weighted.weightings import Weighting
from ..solvers.base import Termination
from ..solvers.crosschecks import CrossCheck, Route
from ..solvers.descent.jax_descent import Descent, check_device
from ..text import attributes
from .realizations import realize

# Nats, as a share of the loss (at least 1): rounding of the loss, and how near to the optimum descent has to come.
_ROUNDING, _NEAR = 1e-12, 1e-9


def crosscheck_verdict(
    weighting: Weighting,
    *,
    temperature: float,
    seeds: int = 1,
    device: str | None = None,
    tol: float = 0.01,
    progress: Progress | None = None,
) -> CrossCheck:
    """Whether descent over embeddings comes as near to the entropy bound as `realize` proves, and no nearer.

    `realize` looks at eigenvalues of what the weights ask for; descent minimises the loss, written a second time, from
    `seeds` random points of as many coordinates as there are samples, on `device` ("cpu", "gpu" or None for JAX's
    default). The rest is as in `realize`.

    Raises:
        ProblemError: a bad argument.
        NotCertified: as `realize`.

    Cost: that of `realize`, and one descent; up to 600 samples.
    """
    check_device(device)
    found = realize(weighting, temperature=temperature, tol=tol, progress=progress)
    objective = WeightedInfoNCE(weighting, temperature=temperature)
    route = Route.taken(Descent(restarts=seeds, device=device), objective, progress=progress)
    excess = difference = verdict = None
    if route.gram is not None:
        excess = objective.divergence(route.gram)
        difference, scale = excess - found.excess, max(1.0, abs(found.value))
        inside = -(found.gap + _ROUNDING * scale) <= difference <= found.gap + _NEAR * scale
        if inside or difference < 0 or route.termination is Termination.CONVERGED:
            verdict = "agrees" if inside else "disagrees"
    route = route.judged(verdict, excess=excess, difference=difference)
    about = {
        "verdict": found.verdict.value,
        "certified": found.finished,
        "weights": weighting.name,
        "samples": weighting.samples,
        **attributes(found, "temperature", "excess", "gap"),
    }
    title = (
        f"{weighting.name}, {weighting.convention}, temperature {found.temperature:g}: {found.verdict.value}\n"
        f"excess {found.excess_lower:.12g} to {found.excess:.12g} nats"
    )
    return CrossCheck(found, title, {**about, "descent": route.to_dict()}, (route,), found.finished)
