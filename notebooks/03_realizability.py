# %% [markdown]
# # 3. Can an embedding have the similarities you ask for?
#
# Weighted contrastive losses (y-Aware, X-CLR, Soft SupCon) give every pair of samples a weight $w_{ij}$, rows of sum
# 1, and train the softmax $p_{ij}$ of the cosines over the temperature to match. The least the loss can be is the
# entropy of the weights, reached when $p_{ij} = w_{ij}$ for all pairs. **Sometimes no embedding does that**, in any
# number of dimensions, and training then settles for something else without saying so. `realize` tells which it is,
# with a proof either way.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs

BLUE, RED = "#30638e", "#d1495b"

hours = np.arange(12.0)
weights = gs.similarities.y_aware_weights(hours, sigma=1.5, period=12)  # a Gaussian of the distance round the clock
clock = gs.realize(weights, temperature=0.3)
print(clock.verdict.value, "-", clock.reason)
print(f"loss above the entropy: {clock.excess:.0e} nats; dimensions needed: {clock.min_dim}")
print(f"up to temperature {clock.largest_temperature:.4f}")

# %% [markdown]
# Twelve hours on a clock, at τ = 0.3: realizable. One would expect a circle in the plane, yet it takes 3 dimensions.
# The weights fix how far apart the hours must be, and a circle of that size does not pass through the centre: it is a
# **circle of latitude**, the nearer to the equator the higher the temperature, until at τ = 0.6169 it is the equator.
# Beyond that the sphere is too small.

# %%
circumference, sigma = 12, 1.5
radius = circumference / (2 * np.pi)
largest = (sigma / radius) ** 2  # the circle of the labels must have at most the radius sigma / sqrt(temperature)
assert np.isclose(clock.largest_temperature, largest)
assert f"{largest:.4f}" == "0.6169"
assert clock.min_dim == 3

TEMPERATURES = (0.1, 0.3, 0.6, 0.9)
figure = plt.figure(figsize=(13, 3.9))
u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 37), np.linspace(0, np.pi, 19))
for panel, temperature in enumerate(TEMPERATURES):
    found = gs.realize(weights, temperature=temperature)
    points = np.pad(found.points, ((0, 0), (0, 3)))[:, :3]
    # Turn the sphere until the mean of the points is at the north pole (an axis of the plane they share, beyond).
    axis = np.linalg.svd(points - points.mean(axis=0))[2]
    points = points @ axis.T
    points[:, 2] *= 1 if points[:, 2].mean() >= 0 else -1
    # Hour 0 in front, the others clockwise as seen from above.
    longitude = np.arctan2(points[:, 1], points[:, 0])
    clockwise = -1 if np.sin(longitude[1] - longitude[0]) > 0 else 1
    longitude = clockwise * (longitude - longitude[0]) - np.pi / 2
    radius = np.hypot(points[:, 0], points[:, 1])
    points = np.column_stack([radius * np.cos(longitude), radius * np.sin(longitude), points[:, 2]])
    order = np.append(np.arange(12), 0)
    axes = figure.add_subplot(1, 4, panel + 1, projection="3d", computed_zorder=False)
    sphere = np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)
    axes.plot_wireframe(*sphere, color="0.85", lw=0.5, rstride=3, cstride=3, zorder=0)
    axes.plot(*points[order].T, color="0.4", lw=1, zorder=1)
    dots = {"cmap": "twilight_shifted", "vmin": 0, "vmax": 12, "s": 70, "depthshade": False, "edgecolor": "0.3"}
    axes.scatter(*points.T, c=hours, zorder=2, **dots)
    numbers = f"height {points[:, 2].mean():.3f}, excess {found.excess:.3f}"
    axes.set_title(f"τ = {temperature}: {found.verdict.value}\n{numbers}", fontsize=11)
    axes.set_box_aspect((1, 1, 1), zoom=1.65)
    axes.view_init(elev=24, azim=-90)
    axes.set_axis_off()
figure.subplots_adjust(left=0, right=1, bottom=0, top=0.84, wspace=0)
figure.savefig("03_clock.png", dpi=110)

# %% [markdown]
# ## The proof of a no
#
# At τ = 0.9 no embedding has these similarities. The verdict comes with a **witness**: a matrix $X$ that is positive
# semidefinite, so that $\langle X, G\rangle \ge 0$ for the cosines $G$ of any embedding whatever, while for the
# cosines that the weights ask for the same number is below 0. You can check that with three lines of numpy, and need
# not trust a solver.

# %%
refused = gs.realize(weights, temperature=0.9)
witness = refused.witness
product = np.sum(witness.matrix * witness.required)
print(f"<X, wanted> = {product:.3f}, smallest eigenvalue of X {np.linalg.eigvalsh(witness.matrix)[0]:.0e}")
print(f"so every embedding stays above the entropy, by {refused.excess_lower:.4f} nats at least,")
print(f"and the best one by {refused.excess:.4f}")

assert clock.witness is None
assert product < -1
assert np.linalg.eigvalsh(witness.matrix)[0] > -1e-12
assert 0 < refused.excess_lower <= refused.excess
assert refused.excess - refused.excess_lower < 1e-9
assert f"{refused.excess:.4f}" == "0.0335"

# %% [markdown]
# Both numbers are 0.0335: the best that any training can do is known, with its proof.
#
# ## Ages: a line fits on no sphere
#
# Now 13 patients from 20 to 80 years, bandwidth 10 years. Does a sample count as a term of its own sum? Codes differ,
# and the answer with them: the convention is `self_pairs`.

# %%
ages = np.linspace(20, 80, 13)
temperatures = np.logspace(-1.6, 0, 9)
curves = {}
for own in (True, False):
    found = [
        gs.realize(gs.similarities.y_aware_weights(ages, sigma=10, self_pairs=own), temperature=t) for t in temperatures
    ]
    curves[own] = np.array([one.excess for one in found])
limit = found[0].largest_temperature
print(f"without self-pairs realizable up to temperature {limit:.4f}")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.loglog(temperatures, curves[True], "o-", color=RED, label="self-pairs in: never")
axes.loglog(
    temperatures, np.maximum(curves[False], 1e-9), "o-", color=BLUE, label=f"self-pairs out: up to τ = {limit:.4f}"
)
axes.axvline(limit, color=BLUE, ls="--", lw=1)
axes.annotate("0, within rounding", (temperatures[0], 1e-9), (0, 8), textcoords="offset points", color=BLUE)
axes.set(
    xlabel="temperature",
    ylabel="nats above the entropy of the weights",
    title="Ages from 20 to 80, Gaussian weights, σ = 10",
)
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig("03_ages.png", dpi=110)

assert (curves[True] > 1e-6).all()
assert (curves[False][temperatures < limit] < 1e-12).all()
assert (curves[False][temperatures > limit] > 1e-9).all()
assert f"{limit:.4f}" == "0.0702"

# %% [markdown]
# With self-pairs in, no temperature works, because distances on a sphere are never exactly those on a line. Without
# them all cosines may grow by the same constant, which is freedom enough up to τ = 0.0702.
#
# At low temperature the excess is minute: little is asked of the geometry. At high temperature it is real. Where does
# it sit, and what would repair it?

# %%
bent = gs.realize(gs.similarities.y_aware_weights(ages, sigma=10), temperature=0.5)
gs.figures.plot_realization(bent, "03_bent.png")

# %%
remedies = gs.similarities.suggest_remedies(bent)
for remedy in remedies:
    print("works:   " if remedy.works else "does not:", remedy.text)
working = {remedy.change for remedy in remedies if remedy.works}
assert working == {"kernel", "similarity"}
cauchy = gs.realize(gs.similarities.y_aware_weights(ages, sigma=10, kernel="cauchy"), temperature=0.5)
assert cauchy.verdict.value == "realizable"

# %% [markdown]
# The best embedding bends the line of ages into an arc. Two changes repair it: another kernel (the Cauchy kernel,
# whose tails are heavier, at the same bandwidth), or squared distances in place of cosines. Each was checked by a
# verdict of its own.
#
# ## Weights of zero
#
# SupCon is the extreme case: weight 0 for every pair of different classes. No finite similarity has a softmax of 0, so
# the entropy is reached at no temperature, and what decides the geometry is the repulsion of notebooks 1 and 2. Soft
# SupCon gives those pairs a small weight ε instead, and that is realizable from $\varepsilon = e^{-C/((C-1)\tau)}$ on,
# whatever the class sizes.

# %%
labels = np.repeat(np.arange(4), [6, 4, 3, 2])
print("SupCon:", gs.realize(gs.similarities.supcon_weights(labels), temperature=0.5).verdict.value)
smallest = np.exp(-4 / (3 * 0.5))
print(f"Soft SupCon, 4 classes, temperature 0.5: smallest epsilon {smallest:.4f}")
verdicts = {}
for factor in (0.99, 1.01):
    weighting = gs.similarities.soft_supcon_weights(labels, epsilon=factor * smallest)
    verdicts[factor] = gs.realize(weighting, temperature=0.5).verdict.value
    print(f"  {factor} of it:", verdicts[factor])

assert f"{smallest:.4f}" == "0.0695"
assert verdicts == {0.99: "inconsistent", 1.01: "realizable"}

# %% [markdown]
# For 4 classes at τ = 0.5 that is ε = 0.0695.
