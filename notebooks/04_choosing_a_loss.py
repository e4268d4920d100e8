# %% [markdown]
# # 4. Choosing a loss
#
# Six classes of 500, 200, 80, 30, 10 and 5 examples, a dozen contrastive losses to choose from, and cross-entropy.
# Before training anything: what does each of them want? `compare` solves them all on the same counts and certifies
# every optimum.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs

counts = [500, 200, 80, 30, 10, 5]
found = gs.compare(counts, temperature=0.2)
for row in found.losses:
    if row.certified:
        within = "" if row.within < 1e-3 else f", variance within classes {row.within:.3f}"
        print(f"{row.loss:17} nearest two classes {row.separation:6.1f} degrees{within}")
    else:
        print(f"{row.loss:17} {row.reason}")
print()
print(found.recommendation)
gs.figures.plot_comparison(found, "04_compare.png")

# %% [markdown]
# Read it by what you need.
#
# **Equal angles for all classes**: `bcl-class` and `design` have the regular simplex as their optimum, 101.5 degrees
# between any two of six classes, however unequal the counts. Note that `bcl`, the same loss averaged over examples as
# published code does, has not.
#
# **Examples of a class that stay apart**, because something inside classes matters later (transfer, subclasses): only
# `supcl` and `kcl` keep any variance worth the name. Under the others each class ends in one point.
#
# **Neither**: plain SupCon, in the knowledge that its nearest two classes are 78.3 degrees apart.

# %%
row = {one.loss: one for one in found.losses}
solved = [one for one in found.losses if one.value is not None]
assert all(one.certified for one in solved)
assert [one.loss for one in solved if one.simplex_distance < 1e-6] == ["bcl-class", "design"]
assert f"{row['design'].separation:.1f}" == "101.5"
assert f"{row['supcon'].separation:.1f}" == "78.3"
assert [one.loss for one in solved if one.within > 1e-2] == ["supcl", "kcl"]

# %% [markdown]
# ## What does it take to get the simplex?
#
# `design` answers in weights: how much each class's anchors count, and how much each class counts as a negative.

# %%
simplex = gs.design(counts, temperature=0.2)
print("weight of one anchor: ", np.round(simplex.anchor_weights, 3))
print("weights of negatives (of class means of exponentials), all:", np.round(simplex.weights[0, 1:], 3))
assert np.allclose(simplex.weights + np.eye(6), 1)
assert np.allclose(simplex.anchor_weights * counts, simplex.anchor_weights[0] * counts[0])

# %% [markdown]
# Two lines of training code: weigh anchors by one over the count of their class, and average negatives per class
# before summing. That is all it takes, and it is proved to be enough.
#
# ## A geometry of your own
#
# Nothing singles out the simplex. Say the classes are three animals and three vehicles, and animals should be nearer
# to each other than to vehicles. Any matrix of cosines is possible in which some positive multiples of the class means
# sum to zero.

# %%
kind = np.repeat([0, 1], 3)
wanted = np.where(np.equal.outer(kind, kind), 0.25, -0.5) + 0.75 * np.eye(6)
own = gs.design(counts, wanted, temperature=0.2)
again = gs.solve(own.objective)  # forget the target, and minimise the designed loss
print("off the target by at most", f"{np.abs(again.gram - wanted).max():.0e};", again.quality.value)
print(f"weights: {own.weights[0, 1]:.3f} inside a kind, {own.weights[0, 3]:.3f} between kinds")
assert np.abs(again.gram - wanted).max() < 1e-9

plain = gs.solve(gs.SupCon(counts, temperature=0.2))
figure, panels = plt.subplots(1, 3, figsize=(13, 4.9), layout="constrained")
weights = np.where(np.eye(6) > 0, np.nan, own.weights)
shown = [
    ("SupCon's optimum", plain.gram, plain.gram, "RdBu_r"),
    ("wanted: the optimum of the designed loss", again.gram, again.gram, "RdBu_r"),
    ("designed weights (colours: their log10)", weights, np.log10(weights), "PuOr_r"),
]
for axes, (title, numbers, colours, palette) in zip(panels, shown, strict=True):
    axes.imshow(colours, cmap=palette, vmin=-1, vmax=1)
    for i, j in np.argwhere(np.isfinite(numbers)):
        dark = abs(colours[i, j]) > 0.6
        axes.text(
            j, i, f"{numbers[i, j]:.2f}", ha="center", va="center", color="white" if dark else "black", fontsize=9
        )
    axes.set(title=title, xticks=range(6), yticks=range(6), xticklabels=counts, yticklabels=counts)
for axes in panels:
    axes.set(xlabel="examples of the class")
figure.savefig("04_design.png", dpi=110)

# %% [markdown]
# ## Keeping classes from collapsing
#
# SupCL mixes the supervised with the self-supervised loss, a share α of the latter. How much is needed? Below a
# critical α classes still collapse to points, and the wanted variance gives the rest. For five classes of 20 at τ =
# 0.1, α = 0.553 keeps a variance of 0.3, and up to α = 0.050 every class is one point.

# %%
guide = gs.choosing.keep_variance([20] * 5, 0.3, temperatures=[0.1])
critical = gs.choosing.supcl_critical_alpha(5, 20, temperature=0.1)
print(f"alpha {guide.alphas[0]:.3f} for a variance of 0.3; collapsed up to alpha {critical:.3f}")
assert guide.certified[0]
assert f"{guide.alphas[0]:.3f} {critical:.3f}" == "0.553 0.050"

chart = gs.choosing.variance_map([20] * 5, alphas=np.linspace(0, 1, 41), temperatures=np.geomspace(0.05, 2, 33))
gs.figures.plot_variance_map(chart, "04_variance.png", variance=0.3)

# %% [markdown]
# ## Or skip the search: fixed targets
#
# If what you want is the geometry and not the loss, train towards it. `targets` writes one unit vector per class, in
# the order of your counts and the width of your projection head.

# %%
fixed = gs.targets(own.objective, counts, dim=64)
fixed.save("04_targets.npy")
rows = gs.training.read_targets("04_targets.npy").rows
print(rows.shape, rows.dtype, fixed.quality, "rank", fixed.rank)
assert rows.shape == (6, 64)
assert np.abs(rows @ rows.T - wanted).max() < 1e-6

# %% [markdown]
# Which rows may trade places, what goes wrong with matching by assignment, and code for PyTorch and JAX: see
# docs/targets.md. A table of which verb answers which question: docs/choosing.md.
