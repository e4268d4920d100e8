# %% [markdown]
# # 6. Cross-entropy
#
# Most classifiers are trained with cross-entropy and weight decay. If the network can put the features of its last
# layer anywhere, where do features and classifier end? Unlike contrastive losses, nothing has unit length here: angles
# *and* norms are found. `CrossEntropy` takes the decay of one example's features and of the classifier.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geomsolve as gs

counts = gs.as_counts([500, 200, 80, 30, 10, 5])
decays = {"feature_decay": 1e-6, "classifier_decay": 5e-4}
plain = gs.solve(gs.CrossEntropy(counts, **decays))
print(plain)
print()
for name, norms in (("features", plain.feature_norms), ("classifier", plain.classifier_norms)):
    print(f"norms of {name:11}", np.round(norms, 2))

# %% [markdown]
# Rare classes have long features and short classifiers. The value is proved: no classifier and no features, of any
# dimension, have a smaller one than the lower bound. The proof needs the logits alone, so it can be asked of logits
# that come from anywhere, a trained network for one. Here are the same logits with a little noise.

# %%
noise = 0.1 * np.random.default_rng(0).normal(size=plain.logits.shape)
proved = gs.certificates.certify_logits(plain.objective, plain.logits + noise)
print(f"value {proved.value:.6f}, at most {proved.gap:.1e} above every other one")
assert proved.lower_bound <= plain.value <= proved.value

# %% [markdown]
# ## What logit adjustment trades
#
# Adding the logarithm of class shares to logits, or margins as LDAM has them, moves the optimum. Of the two decays
# only the product matters for angles and logits. The nearest two classes of each loss:


# %%
def nearest(cosines):
    """The angle of the nearest two, in degrees."""
    return np.degrees(np.arccos(cosines[~np.eye(len(cosines), dtype=bool)].max()))


designed = gs.choosing.design_logits(counts, **decays)
solutions = {
    "plain": plain,
    "logit-adjusted": gs.solve(gs.objectives.logit_adjusted(counts, **decays)),
    "LDAM": gs.solve(gs.objectives.ldam(counts, **decays)),
    "designed margins": gs.solve(designed.objective),
}
for name, solution in solutions.items():
    features, classifiers = nearest(solution.feature_cosines), nearest(solution.classifier_cosines)
    print(
        f"{name:17} features {features:6.2f} degrees, classifiers {classifiers:6.2f} degrees; {solution.quality.value}"
    )
print()
print("designed margins", np.round(designed.margins, 3))
assert designed.ok

figure, panels = plt.subplots(2, 4, figsize=(12.5, 6.6), layout="constrained")
for column, (name, solution) in enumerate(solutions.items()):
    for row, (part, cosines) in enumerate(
        (("features", solution.feature_cosines), ("classifier", solution.classifier_cosines))
    ):
        axes = panels[row, column]
        axes.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
        for i, j in np.argwhere(~np.eye(6, dtype=bool)):
            axes.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", fontsize=8)
        labels = [f"{count:g}" for count in counts.per_class]
        axes.set(title=f"{name}: {part}", xticks=range(6), yticks=range(6), xticklabels=labels, yticklabels=labels)
figure.savefig("06_angles.png", dpi=100)

# %% [markdown]
# Plain cross-entropy keeps features far apart and lets the classifiers of rare classes come together; logit adjustment
# does the opposite. The last line is the inverse problem: `design_logits` gives the margins, in closed form, with which
# features *and* classifier are the regular simplex for these counts. Solving the designed loss, with the target
# forgotten, finds it. Angles of your own take an offset for every pair of classes.

# %%
wanted = gs.solve(gs.SupCon(counts, temperature=0.1)).gram
own = gs.choosing.design_logits(counts, wanted, **decays)
again = gs.solve(own.objective)
print("SupCon's angles by cross-entropy, off by at most", f"{np.abs(again.classifier_cosines - wanted).max():.0e}")
assert np.abs(again.feature_cosines - wanted).max() < 1e-6

# %% [markdown]
# ## Less and less decay
#
# As decay goes to zero norms grow for ever, but directions have a limit: the largest margin for its norm, which has a
# closed form. It is approached slowly: at any decay that is in use the optimum is still some way off.

# %%
limit = gs.max_margin(counts)
for decay in (1e-4, 1e-6, 1e-8, 1e-10):
    near = gs.solve(gs.CrossEntropy(counts, feature_decay=decay, classifier_decay=decay))
    off = np.abs(near.classifier_cosines - limit.classifier_cosines).max()
    print(f"decay {decay:.0e}: own logits {np.diag(near.logits).max():5.2f}, cosines of classifiers off by {off:.3f}")

# %% [markdown]
# ## Where classes vanish or merge
#
# With ReLU features all is in closed form: class means are orthogonal, and a class whose examples are too few for the
# decay has no features at all. In the Layer-Peeled Model, where energies are bounded instead of decayed, classifiers of
# the minority merge at a critical imbalance ratio; with more energy, at a higher one.

# %%
relu = gs.CrossEntropy(counts, feature_decay=1e-3, classifier_decay=1e-2, relu=True)
print(f"decay {relu.decay:.5f}; classes vanish from", np.round(relu.vanishing_decays, 5), "on")
print("vanished:", [f"{counts.per_class[c]:g} examples" for c in gs.solve(relu).vanished])
merge = gs.collapse.layer_peeled_threshold(5, 5, feature_energy=5.0, classifier_energy=1.0)
print(f"5 classes of many examples and 5 of few: merged from ratio {merge.value:.6f} on")

ratios = np.sort(np.append(np.geomspace(1, 1000, 16), merge.value * np.array([0.999, 1.001])))
figure, axes = plt.subplots(figsize=(7.5, 4.4), layout="constrained")
for words, energy in (("feature energy 5", 5.0), ("feature energy 20", 20.0)):
    models = (gs.objectives.LayerPeeled(gs.step_counts(5, 5, 1, ratio), energy, 1.0) for ratio in ratios)
    axes.plot(ratios, [gs.solvers.solve_peeled(model).classifier_cosines[-1, -2] for model in models], label=words)
axes.axvline(merge.value, color="grey", linestyle=":", label="merged, by the threshold")
axes.set(xscale="log", xlabel="imbalance ratio", ylabel="cosine of two minority classifiers")
axes.legend()
axes.grid(alpha=0.25)
figure.savefig("06_minority.png", dpi=100)

# %% [markdown]
# The mathematics, with sources, is on the theory page; whether a trained network arrives is measured in benchmarks/.
