# %% [markdown]
# # 1. A first geometry
#
# A contrastive loss pulls examples of a class together and pushes classes apart. Embeddings have length 1, so each
# class ends near one point of a sphere. **Where?** With equally many examples in each class the answer is a regular
# simplex. With 600 examples in one and 6 in another it is not, and this package computes what it is, and proves it.
#
# Run it in Jupyter, or its text with `python 01_first_geometry.py`. Pictures are saved in the current folder.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs

solution = gs.solve(gs.SupCon([60, 60, 60], temperature=0.5))  # examples per class
print(np.round(solution.gram, 3))  # row c, column d: the cosine between the points of classes c and d
print(solution.quality.value, "in", solution.rank, "dimensions")

assert np.allclose(solution.gram[np.triu_indices(3, 1)], -0.5)

# %% [markdown]
# Three equal classes: all cosines are -0.5, corners of an equilateral triangle on a circle. `solution.rank` is the
# number of dimensions the optimum needs: 2 for three classes, so it can be drawn as it is.
#
# Now make the classes unequal, and then raise the temperature.

# %%
HEAD, MIDDLE, TAIL = COLOURS = ("#30638e", "#edae49", "#d1495b")
SETTINGS = [([60, 60, 60], 0.5), ([600, 60, 6], 0.1), ([600, 60, 6], 0.5), ([6000, 60, 6], 1.0)]


def draw_circle(axes, counts, temperature):
    """The optimal points of three classes, the first on top; the area of a dot grows with its count."""
    found = gs.solve(gs.SupCon(counts, temperature=temperature))
    points = np.pad(found.embed().points, ((0, 0), (0, 2)))[:, :2]  # one dimension is enough where classes collapse
    turn = np.pi / 2 - np.arctan2(points[0, 1], points[0, 0])
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points *= 1 if points[1, 0] >= 0 else np.array([-1, 1])
    axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.8"))
    for c in np.argsort(counts)[::-1]:
        axes.plot([0, points[c, 0]], [0, points[c, 1]], color=COLOURS[c], lw=1.5)
        axes.scatter(*points[c], s=60 + 90 * np.log10(counts[c]), color=COLOURS[c], zorder=3, edgecolor="white")
        axes.annotate(counts[c], 1.25 * points[c], ha="center", va="center", color=COLOURS[c])
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", title=f"{counts}, τ = {temperature}")
    axes.axis("off")
    return found


figure, panels = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
found = [draw_circle(axes, *setting) for axes, setting in zip(panels, SETTINGS, strict=True)]
# In the last panel two classes are in one point: say so where the labels would lie on top of each other.
for text in panels[3].texts[1:]:
    text.set_visible(False)
panels[3].annotate("60 and 6, in one point", (0, -1.25), ha="center", va="center", color=TAIL)
figure.savefig("01_triangles.png", dpi=110)

for (counts, temperature), one in zip(SETTINGS, found, strict=True):
    print(
        counts, temperature, "cosine of the two smaller classes:", f"{one.gram[1, 2]:+.3f}", "collapsed:", one.collapsed
    )

# %% [markdown]
# The two smaller classes draw together, the more so the higher the temperature; the one with more examples of the two
# goes opposite the largest. Their cosine grows from -0.500 to -0.357 at τ = 0.1 and +0.311 at τ = 0.5: an angle of 72
# degrees, where the balanced triangle has 120. At last, with 6000 examples in the largest class and τ = 1, both sit in
# **one point**: at the very optimum of the loss nothing tells them apart any more. The next notebook is about that.

# %%
assert f"{found[1].gram[1, 2]:+.3f}" == "-0.357"
assert f"{found[2].gram[1, 2]:+.3f}" == "+0.311"
angle = np.degrees(np.arccos([found[2].gram[1, 2], found[0].gram[1, 2]]))
print("angles:", np.round(angle))
assert [round(a) for a in angle] == [72, 120]
assert [list(group) for group in found[3].collapsed] == [[1, 2]]

# %% [markdown]
# ## Why believe it?
#
# A solver that stops has not proved anything. But the loss is a convex function of the matrix of cosines, so any
# candidate has a computable **gap**: no geometry at all has a loss lower by more than it. `certify` computes it for
# any matrix, whoever made it. Take the optimum of the third panel and turn the rarest class away from it.

# %%
objective = gs.SupCon([600, 60, 6], temperature=0.5)
best = gs.solve(objective)
points = best.embed().points
degrees = np.logspace(-3, np.log10(90), 60)
costs, gaps = [], []
for turn in np.radians(degrees):
    moved = points.copy()
    moved[2] = points[2] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    proved = gs.certify(objective, moved @ moved.T)
    costs.append(proved.value - best.value)
    gaps.append(proved.gap)

figure, axes = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
axes.fill_between(degrees, costs, gaps, color="0.93")
axes.plot(degrees, gaps, color="0.5", label="proved: no geometry is better by more")
axes.plot(degrees, costs, color=TAIL, label="what the move really costs")
axes.set(
    xscale="log", yscale="log", xlabel="degrees off the optimum", ylabel="nats", title="A class of 6 turned by hand"
)
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig("01_certificate.png", dpi=110)

assert all(gap >= cost for gap, cost in zip(gaps, costs, strict=True))
print(f"gap of the optimum itself: {best.certificate.gap:.0e} nats")

# %% [markdown]
# The grey curve never lies below the red one, and both go to zero at the optimum alone. Note how little is at stake
# for the loss: turning 6 of 666 examples by 30 degrees costs less than 0.01 nats, while the loss itself is near 6.879.
# This is why a flat loss curve says little about the tail, and why `solve` calls an answer *certified* only where the
# cosines are pinned down, too: here to better than 1e-6.

# %%
at_thirty = float(np.interp(30, degrees, costs))
print(f"30 degrees cost {at_thirty:.4f} of {best.value:.3f} nats")
assert at_thirty < 0.01
assert sum([600, 60, 6]) == 666
assert f"{best.value:.3f}" == "6.879"
assert best.certificate.cosine_residual < 1e-6

# %% [markdown]
# ## More classes
#
# Four classes need three dimensions: `plot_solution` draws them on their sphere.

# %%
counts = [1000, 300, 30, 30]
four = gs.solve(gs.SupCon(counts, temperature=0.3))
gs.figures.plot_solution(four, "01_four_classes.png", counts=gs.as_counts(counts))

# %% [markdown]
# A thousand classes need 999, so what is drawn is the cosines: below, ImageNet-LT, from 1280 images in the largest
# class to 5 in the smallest. Two classes of the tail have the cosine +0.124, a class of the head and one of the tail
# -0.071; the simplex would have -0.001 everywhere.

# %%
counts = gs.load_counts("imagenet_lt")
imagenet = gs.solve(gs.SupCon(counts, temperature=0.1))
print(f"{counts.distinct[0]:.0f} to {counts.distinct[-1]:.0f} images, rank {imagenet.rank}, {imagenet.quality.value}")
print(f"tail-tail {imagenet.gram[-1, -2]:+.3f}, head-tail {imagenet.gram[0, -1]:+.3f}, simplex {-1 / 999:+.3f}")
assert (counts.distinct[0], counts.distinct[-1], imagenet.rank) == (1280, 5, 999)
assert f"{imagenet.gram[-1, -2]:+.3f} {imagenet.gram[0, -1]:+.3f}" == "+0.124 -0.071"
gs.figures.plot_solution(imagenet, "01_imagenet_lt.png", counts=counts)
