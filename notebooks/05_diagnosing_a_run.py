# %% [markdown]
# # 5. Diagnosing a run
#
# You trained a network, embedded a data set with it, and have an array of embeddings and their labels. Did training
# get where the loss wants to be? `diagnose` measures the embeddings, solves the loss for the same counts, and says how
# far they are apart.
#
# First, embeddings whose state is known, because we plant it: four classes of 120, 36, 12 and 4 examples in 16
# dimensions.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs
from geomsolve.training import losses

COLOURS = ("#30638e", "#00798c", "#edae49", "#d1495b")
counts, dim, temperature = np.array([120, 36, 12, 4]), 16, 0.5
labels = np.repeat(np.arange(4), counts)
rng = np.random.default_rng(0)

optimum = gs.solve(gs.SupCon(counts, temperature=temperature))
means = optimum.embed(dim).points
merged = means.copy()
merged[2:] = means[2] + means[3]
simplex = np.pad(np.eye(4) - 0.25, ((0, 0), (0, dim - 4)))
noisy = {
    "at the optimum": means[labels],
    "the regular simplex": simplex[labels] / np.linalg.norm(simplex[0]),
    "two rarest merged": merged[labels] / np.linalg.norm(merged, axis=1)[labels, None],
    "all in one point": np.tile(means[0], (len(labels), 1)),
    "labels shuffled": means[rng.permutation(labels)],
    "not trained": rng.normal(size=(len(labels), dim)),
}
verdicts = {}
for name, clean in noisy.items():
    embeddings = clean + 0.02 * rng.normal(size=clean.shape)
    result = gs.diagnose(embeddings, labels, objective="supcon", temperature=temperature)
    verdicts[name] = result
    far = result.optimum
    print(f"{name:20} {result.verdict.value:66} level {far.level:.4f}  cosines off by {far.rms:.3f}")

# %% [markdown]
# `level` is the loss on a scale from 0 (the certified optimum) to 1 (everything in one point), and the last column is
# the root mean square of measured less optimal cosines. Look at the second line: the regular simplex, which for
# balanced data would be perfect, is **far** from what SupCon wants here, while its level is below 0.05. The loss
# hardly sees what happens to 16 of 172 examples; the cosines do.

# %%
words = {name: result.verdict.value for name, result in verdicts.items()}
assert words["at the optimum"] == "at the optimum"
assert words["the regular simplex"] == words["not trained"] == "far from the optimum"
assert words["two rarest merged"].startswith("minority collapsed though the optimum is not")
assert words["all in one point"] == "fully collapsed: training failure"
assert words["labels shuffled"] == "class means coincide, examples do not"
assert verdicts["the regular simplex"].optimum.level < 0.05
assert counts[2:].sum() == 16
assert counts.sum() == 172

gs.figures.plot_diagnosis(verdicts["two rarest merged"], "05_merged.png")

# %% [markdown]
# The page for the third one: the pair of rare classes is the red corner of the measured cosines, and off the diagonal
# of the second panel.
#
# ## A run, from collapse to the optimum
#
# Now a real, if tiny, training: embeddings that are free to move, two views, SupCon from `losses`, descent with
# momentum. It starts with everything almost in one point.

# %%


def train(temperature, steps, watch, speed=0.05):
    """The loss at every step, and embeddings at the steps to watch."""
    start = np.ones((2, len(labels), dim)) / 4 + 1e-3 * np.random.default_rng(0).normal(size=(2, len(labels), dim))
    slope = jax.value_and_grad(lambda z: losses.sup_con(z, labels, temperature=temperature))

    @jax.jit
    def step(z, velocity):
        value, gradient = slope(z)
        velocity = 0.9 * velocity - speed * 2 * len(labels) * gradient
        z = z + velocity
        return value, z / jnp.linalg.norm(z, axis=-1, keepdims=True), velocity

    z = jnp.asarray(start, jnp.float32)
    velocity, curve, kept = jnp.zeros_like(z), [], {}
    for count in range(steps + 1):
        if count in watch:
            kept[count] = np.asarray(z)
        value, z, velocity = step(z, velocity)
        curve.append(float(value))
    return np.array(curve), kept


curve, kept = train(0.5, 200, [*range(0, 100, 5), *range(100, 201, 25)])
states = {at: gs.diagnose(z, labels, objective="supcon", temperature=0.5) for at, z in kept.items()}
levels = gs.loss_levels(counts, temperature=0.5)
for at in (0, 10, 20, 50, 100, 200):
    print(f"step {at:3}: loss {curve[at]:.6f}, cosines off by {states[at].optimum.rms:.6f}, {states[at].verdict.value}")

figure, panels = plt.subplots(1, 2, figsize=(12.5, 4.4), layout="constrained")
axes = panels[0]
axes.plot(curve, color="black", lw=2)
marks = (
    ("all in one point", levels.collapsed, 3),
    ("minority in one point", levels.minority_collapsed, 3),
    ("regular simplex", levels.simplex, 3),
    ("certified optimum", levels.optimum, -10),
)
for text, level, lift in marks:
    axes.axhline(level, color="0.7", lw=1, ls="--")
    axes.annotate(text, (200, level), (0, lift), textcoords="offset points", ha="right", color="0.4", fontsize=9)
axes.set(xlabel="step", ylabel="loss, nats", title="The loss, and the levels it could stop at", xlim=(0, 200))
axes = panels[1]
goal = optimum.gram
for c, d in ((0, 1), (0, 3), (1, 2), (2, 3)):
    colour = COLOURS[{(0, 1): 0, (0, 3): 1, (1, 2): 2, (2, 3): 3}[c, d]]
    axes.plot(list(states), [s.collapse.cosines[c, d] for s in states.values()], color=colour, lw=2)
    axes.axhline(goal[c, d], color=colour, lw=1, ls="--")
    axes.annotate(
        f"{counts[c]} and {counts[d]}", (200, goal[c, d]), (0, 3), textcoords="offset points", ha="right", color=colour
    )
axes.set(xlabel="step", ylabel="cosine of class means", title="Cosines (dashed: certified)", xlim=(0, 200))
for axes in panels:
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig("05_training.png", dpi=110)

assert states[0].verdict.value == "fully collapsed: training failure"
assert states[200].verdict.value == "at the optimum"
assert states[200].optimum.rms < 1e-3
assert abs(curve[-1] - levels.optimum) < 1e-5

# %% [markdown]
# The curve starts on the level of full collapse, 5.838 nats, which is the logarithm of 343, the number of other
# embeddings, and ends at the certified optimum, 5.101. Descent over points and a convex program that never saw a point
# agree.
#
# A run that stops on one of the dashed lines above the lowest has stopped at a geometry with a name.

# %%
others = 2 * len(labels) - 1
print(f"collapsed {levels.collapsed:.3f} = log({others}), optimum {levels.optimum:.3f}")
assert (others, f"{levels.collapsed:.3f}", f"{levels.optimum:.3f}") == (343, "5.838", "5.101")
assert np.isclose(levels.collapsed, np.log(others))

# %% [markdown]
# ## Low temperature: the loss is done, the geometry is not
#
# The same at τ = 0.1, twice as long.

# %%
cold, cold_kept = train(0.1, 400, (400,))
end = gs.diagnose(cold_kept[400], labels, objective="supcon", temperature=0.1)
print(f"level {end.optimum.level:.1e}, cosines off by {end.optimum.rms:.3f}, verdict: {end.verdict.value}")
assert end.optimum.level < 0.001
assert end.optimum.rms > 0.1
assert end.verdict.value == "far from the optimum"

# %% [markdown]
# The loss has come down to less than 0.001 of the way, and a loss curve would be called converged. The cosines are
# still off by more than 0.1: at low temperature pairs that are far enough apart exert almost no force. The optimum of
# notebooks 1 and 2 is where training *goes*; at low temperature it may take a very long time to arrive, and `diagnose`
# tells you how far you are.
