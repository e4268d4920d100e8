# %% [markdown]
# # 2. Imbalance, and where classes collapse
#
# How much imbalance does a loss stand before its optimum puts several classes into one point? That is a number, and it
# need not be searched for on a grid: `threshold` computes it, and certifies the geometry just below and just above.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs

HEAD, TAIL, BETWEEN = "#30638e", "#d1495b", "#edae49"

critical = gs.threshold(gs.SupCon, majority=1, minority=9, per_class=10, temperature=0.5)
print(critical.problem)
print(critical.reason, "- confirmed by certified solves:", critical.confirmed)

# %% [markdown]
# One class of many examples, nine classes of 10, SupCon at τ = 0.5: above an imbalance ratio of 956.3 all nine share a
# point. The way there is gradual, and its end is sudden:

# %%
ratios = np.sort(np.append(np.logspace(0, 3.7, 60), critical.value * np.array([0.99, 0.999, 1.001])))
path = [gs.solve(gs.SupCon(gs.step_counts(1, 9, 10, ratio), temperature=0.5)) for ratio in ratios]
tails, heads = [s.gram[-1, -2] for s in path], [s.gram[0, -1] for s in path]

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.axvspan(critical.value, ratios[-1], color="0.93")
axes.axhline(-1 / 9, color="0.6", lw=1, ls="--")
axes.plot(ratios, tails, color=TAIL, lw=2)
axes.plot(ratios, heads, color=HEAD, lw=2)
axes.text(ratios[-1] * 1.05, -1 / 9, "regular\nsimplex", color="0.5", va="center")
axes.text(60, 0.45, "two classes of the tail", color=TAIL, ha="right")
axes.text(60, -0.72, "head and tail", color=HEAD, ha="right")
axes.text(critical.value * 1.08, 0, "collapsed", color="0.4")
axes.set(
    xscale="log",
    xlim=(1, ratios[-1]),
    xlabel="imbalance ratio",
    ylabel="cosine",
    title="SupCon, τ = 0.5, one head, nine tail",
)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig("02_path.png", dpi=110)

assert f"{critical.value:.1f}" == "956.3"
assert all((cosine > 1 - 1e-9) == (ratio > critical.value) for ratio, cosine in zip(ratios, tails, strict=True))

# %% [markdown]
# ## Temperature is the knob
#
# The same question over ratio **and** temperature. The curve comes from the threshold; the colours are certified
# solutions on a grid, and know nothing of the curve.

# %%
diagram = gs.phase_diagram(
    gs.SupCon, over="temperature", majority=1, minority=9, per_class=10, ratios=(10, 3000), span=(0.2, 3), grid=(21, 13)
)
window = gs.phase_diagram(
    gs.SupCon, over="temperature", majority=2, minority=5, per_class=20, ratios=(10, 3000), span=(0.2, 3), grid=(21, 13)
)
assert diagram.certified.all()
assert window.certified.all()

figure, panels = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", sharey=True)
for axes, shown, title in zip(panels, (diagram, window), ("one head, nine tail", "two head, five tail"), strict=True):
    colours = axes.pcolormesh(
        shown.ratios, shown.values, shown.minority_cosine, cmap="magma", vmin=-0.25, vmax=1, shading="gouraud"
    )
    for curve in shown.boundary:
        axes.plot(curve[:, 0], curve[:, 1], color="#4ecdc4", lw=2.5)
    axes.set(xscale="log", yscale="log", xlabel="imbalance ratio", title=title, xlim=shown.ratios[[0, -1]])
panels[0].set(ylabel="temperature", ylim=(0.2, 3), yticks=(0.2, 0.5, 1, 2), yticklabels=("0.2", "0.5", "1", "2"))
panels[0].tick_params(axis="y", which="minor", labelleft=False)
panels[0].text(600, 1.1, "collapsed", color="black", ha="center")
panels[1].text(900, 0.7, "collapsed", color="black", ha="center")
figure.colorbar(colours, ax=panels, label="cosine of two classes of the tail")
figure.savefig("02_phases.png", dpi=110)

for temperature in (0.1, 0.2, 0.5, 1.0):
    at = gs.threshold(gs.SupCon, majority=1, minority=9, per_class=10, temperature=temperature, certify=False)
    print(f"τ = {temperature}: critical ratio {at.value:.3g}")

# %% [markdown]
# On the left what one expects: low temperature protects the tail. At τ = 1 a ratio of 109 is enough, at τ = 0.1 it
# takes 8.73e+09, more than any data set has.
#
# On the right a surprise: with two large classes the collapse **ends** again as the temperature rises. Ask for all
# critical temperatures at a ratio of 356.87:

# %%
ends = gs.threshold(gs.SupCon, majority=2, minority=5, per_class=20, ratio=356.87, vary="temperature")
print("collapsed for temperatures from", " to ".join(f"{crossing.value:.4f}" for crossing in ends.crossings))
assert [f"{crossing.value:.4f}" for crossing in ends.crossings] == ["0.4735", "1.0000"]

# %% [markdown]
# From 0.4735 to 1.0000, and nowhere else.
#
# ## Never
#
# Some losses never collapse their tail, whatever the ratio. "Never" is an answer like any other, and comes with its
# reason.

# %%
never = gs.threshold(gs.GCL, majority=3, minority=8, sampling="unsupervised", negatives=1)
print(never.value, "-", never.reason)
assert never.value is None

# %% [markdown]
# ## Your counts
#
# Real counts have no two levels. There, every count is raised to a power (1 is your data as they are), and the answer
# is the power at which something would collapse. ISIC 2019 has 8 classes of skin lesions:

# %%
isic = gs.load_counts("isic2019")
print([int(n) for n in isic.distinct])
real = gs.threshold(gs.SupCon, isic, temperature=1.0)
print(real.reason)
print("sharing a point beyond:", real.classes)

assert f"{real.value:.3f}" == "2.859"
assert real.classes == (1, 2, 3, 4, 5, 6, 7)

# %% [markdown]
# A power of 2.859, far away even at τ = 1: all classes but the largest would meet in one point. These data do not
# collapse. But below the threshold the tail is drawn together all the same, as the first picture shows, and `solve`
# says by how much.
#
# ## Batches change the answer
#
# All of this was the full batch. Training sees a few hundred examples at a time, and an example of the tail then
# rarely meets another one of its class: in batches of 256 from CIFAR-100-LT, one of the smallest class is alone with
# probability 0.889. `SupCon(..., batch=B)` is the exact expectation over batches, without sampling.

# %%
counts = gs.load_counts("cifar100_lt:100")
alone = gs.loss_levels(counts, temperature=0.1, batch=256).no_positive_probability[-1]
print(f"alone: {alone:.3f}")
assert f"{alone:.3f}" == "0.889"
batches = [4**k for k in range(2, 9)]
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
tail_cosine = {}
for views, colour in ((2, TAIL), (1, BETWEEN)):
    found = [gs.solve(gs.SupCon(counts, temperature=0.1, views=views, batch=batch)) for batch in batches]
    tail_cosine[views] = dict(zip(batches, (s.gram[-1, -2] for s in found), strict=True))
    axes.plot(batches, list(tail_cosine[views].values()), "o-", color=colour, label=f"{views} view{'s' * (views > 1)}")
full = gs.solve(gs.SupCon(counts, temperature=0.1)).gram[-1, -2]
axes.axhline(full, color="0.5", ls="--", lw=1, label="full batch, 2 views")
axes.set(
    xscale="log",
    xlabel="examples in a batch",
    ylabel="cosine of two classes of the tail",
    title="CIFAR-100-LT, IR 100, τ = 0.1",
)
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig("02_batches.png", dpi=110)
print(f"full batch {full:+.3f}; 256 examples: 2 views {tail_cosine[2][256]:+.3f}, 1 view {tail_cosine[1][256]:+.3f}")
print(f"16 examples, 1 view: {tail_cosine[1][16]:+.3f}")

assert f"{full:+.3f}" == "+0.151"
assert f"{tail_cosine[2][256]:+.3f} {tail_cosine[1][256]:+.3f} {tail_cosine[1][16]:+.3f}" == "+0.063 +0.035 +0.240"

# %% [markdown]
# With two views, batches of 256 leave the tail at +0.063 where the full batch has +0.151: smaller batches treat rare
# classes more evenly. With one view the smallest batches do the opposite, +0.240 at 16 examples: an anchor without a
# positive partner counts as a loss of zero, so rare classes hardly have a say. If you compare a trained network with
# an optimum (notebook 5), give the batch you trained with.
