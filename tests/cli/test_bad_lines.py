"""Command lines that are refused: one line that says what is wrong, exit code 2, and nothing left in the folder."""

import pytest
from command_line import refuses

SUPCL, GUIDELINE = "solve --objective supcl --temperature 0.1 ", "guideline --variance 0.3 "
GCL = "threshold --objective gcl --temperature 1 --majority 1 "
TARGETS = "targets --counts 30,900,7,30 --objective supcon --temperature 0.1 "
DIM, DESIGN = "solve --counts 100,60,30 --temperature 0.2 ", "design --counts 9,5,2 "
LINES = [
    ("slove", "No such command"),
    ("solve --temperature 0.1", "counts: must be given"),
    ("solve --counts 10,5", "temperature: supcon needs it"),
    ("solve --objective supcon --counts 10,5", "temperature: supcon needs it"),
    ("solve --counts 5,4 --temperature 0.1 --alpha 0.5", "alpha: supcon has no"),
    (DIM + "--solver quadrature --max-steps 5", "max-steps: quadrature has none to limit; got 5"),
    (DIM + "--seconds 3", "seconds: belongs to the descents of --dim; got 3 without it"),
    (DIM + "--dim 2 --seconds 0", "seconds: must be a number above 0; got 0"),
    (DIM + "--dim 2,x", "dim: must be a whole number, or several as in 8,16,32; got '2,x'"),
    # Instances, two classes, targets.
    (SUPCL + "--counts 5,4", "alpha: supcl needs it; got none"),
    (SUPCL + "--alpha 0.5", "counts: must be given; got none"),
    (SUPCL + "--alpha 0.5 --classes 3 --instances 1", "instances: .*at least 2; got 1"),
    (SUPCL + "--alpha 0.5 --classes 3", "instances: must be given with classes; got none"),
    (SUPCL + "--alpha 0.5 --instances 3", "classes: must be given with instances; got none"),
    (SUPCL + "--alpha 0.5 --counts 5,4 --classes 3", "counts: stand in place of classes and instances; got '5,4'"),
    (GUIDELINE, "counts: must be given; got none"),
    (GUIDELINE + "--counts 5,4 --temperature 0", "temperature: must be finite and above 0; got 0"),
    (
        "solve --objective supproto --counts 9,4 --alpha 0.5",
        r"alpha: supproto has no such option; got 0.5 \(leave it out; it takes temperature, views, batch\)",
    ),
    ("solve --objective supproto --counts 9,4 --dim 3", r"dim: supproto has no such option; got 3 \(leave it out\)"),
    ("solve --objective supproto --counts 9,4 --out folder", "out: supproto has no such option; got folder"),
    ("solve --objective tsc --counts 20,5 --temperature 1 --solver scs", "solver: tsc has no such option; got scs"),
    (
        "solve --objective tsc --counts 20,5 --temperature 1 --pull -1",
        "pull: must be a finite number of at least 1; got -1",
    ),
    # Checks.
    ("crosscheck --temperature 1", "counts: must be given; got none"),
    ("crosscheck --counts 9,4 --temperature 1 --tol 2", "tol: must be a number between 0 and 1; got 2"),
    ("crosscheck --counts 9,4 --temperature 1 --seeds 0", "seeds: must be at least 1; got 0"),
    ("crosscheck --counts 9,4 --temperature 1 --device tpu", "device: must be"),
    ("crosscheck --counts 9,4 --temperature 1 --dim 2", "No such option: --dim"),
    ("crosscheck --counts 9,4 --majority 1", "majority: one thing is checked at a time; got counts too"),
    ("crosscheck --majority 1 --weights w.npy", "weights: one thing is checked at a time; got majority too"),
    ("crosscheck --majority 1 --minority 3 --device tpu", 'device: must be "cpu", "gpu" or None'),
    ("crosscheck --labels 0,1,2 --scheme y-aware --sigma 1", "temperature: must be given; got none"),
    ("crosscheck --labels 0,1 --scheme euclidean --temperature 1", "scheme: euclidean has no sphere"),
    ("crosscheck --labels 0,1,2 --views 2 --temperature 1", "views: weights make a loss of their own; got 2"),
    (
        "crosscheck --objective supproto --counts 9,4",
        r"objective: must be free and convex here, one of supcon, .*; got supproto \(geomsolve solve takes it\)",
    ),
    # Critical values and levels.
    ("threshold --objective supproto --majority 1 --minority 2", "must be free and convex here, .*; got supproto"),
    (GCL, "minority: must be a whole number of at least 2; got none"),
    (GCL + "--minority 9 --vary negatives --ratio 0.5", "ratio: must be at least 1"),
    (GCL + "--minority 9 --vary temperature --ratio 3", r"temperature: is what is varied; got 1\.0"),
    ("threshold --temperature 1 --majority 1 --minority 5", "per-class: this loss depends on numbers of examples"),
    ("threshold --counts 10,5,5", "temperature: supcon needs it; got none"),
    ("threshold --counts 10,5,5 --temperature 1 --majority 1", "majority: goes with majority and minority, not with c"),
    ("threshold --objective supcl --majority 3 --minority 3", "geomsolve guideline"),
    ("threshold --objective supcl --counts 10,5,5", "objective: critical values are those of losses"),
    ("phase --objective bcl", r"supcon, gcl and functions of your own; got BCL\(anchors=instance\), in which"),
    ("phase --objective gcl --ratios 0.5 3", "ratios: must be two ascending numbers"),
    ("phase --objective gcl --plot x.bmp", "plot: must end in"),
    ("phase --objective gcl --csv no/such/folder.csv", "csv: must be a path that can be written"),
    ("levels --counts 9,3", "temperature: supcon needs it; got none"),
    ("levels --counts 9,3 --temperature 0.1 --batch 2 --views 1", "batch: must be at least 3 with one view; got 2"),
    ("levels --counts 9,3 --temperature 0.1 --base-temperature 0", "base.temperature: must be .* above 0; got 0"),
    ("levels --counts 0.5,0.3,0.2 --temperature 0.1", "counts: .*give counts, or a batch size"),
    ("levels --counts 9,3 --temperature 0.1 --keys momentum", "keys: training with momentum keys ends in an equilibr"),
    ("levels --counts 9,3 --temperature 0.1 --sampler sqrt", "sampler: draws batches, so it needs batch="),
    # Targets and designs.
    (TARGETS + "--out T.npy", "dim: must be given; got none"),
    (TARGETS + "--dim 8", "out: must be given; got none"),
    (TARGETS + "--dim 8 --out T.txt", "out: must end in .npy or .safetensors or .pt, or be a folder; got 'T.txt'"),
    (TARGETS + "--dim 8 --out none/T.npy", "out: must be a path that can be written; got none/T.npy"),
    (TARGETS + "--dim 8 --out T.npy --layout rows", "layout: must be one of proxies, weights; got 'rows'"),
    (TARGETS + "--dim 8 --out tsc --layout weights", "layout: a folder is for TSC's loader"),
    (TARGETS + "--dim 4 --out T.npy --json T.npy", "json: must be a file of its own"),
    (TARGETS + "--dim 4 --out T.npy --json T.npy.json", "json: must be a file of its own"),
    ("design --counts 5,1 --temperature 0.001", r"at 0\.001 this target needs weights of e\^0 beside 1 .*e\^-2001"),
    (DESIGN, "temperature: must be given for a contrastive loss, or in its place feature-decay and classifier-decay"),
    (DESIGN + "--feature-decay 1e-5", "got neither or one decay alone"),
    (DESIGN + "--temperature 1 --feature-decay 1e-5", "got both"),
    (DESIGN + "--feature-decay 1e-5 --classifier-decay 1e-5 --anchors class", "anchors: are those of a"),
    (DESIGN + "--feature-decay 0 --classifier-decay 1e-5", "feature-decay: must be a finite number above 0"),
    # The root of 2 over 16.
    (DESIGN + "--feature-decay 1 --classifier-decay 1", r"the root of their product must be below 0\.0884"),
]


@pytest.mark.parametrize(("line", "message"), LINES, ids=[line for line, _ in LINES])
def test_a_bad_line_is_refused(tmp_path, monkeypatch, capsys, line, message):
    monkeypatch.chdir(tmp_path)
    refuses(capsys, line.split(), message)
    assert list(tmp_path.iterdir()) == []
