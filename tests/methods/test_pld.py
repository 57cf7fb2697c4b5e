"""What is PLD's own: its one term, the weights of the ranks, what it refuses and warns of."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from limbeck import cards
from limbeck.data import Batch, digits, from_arrays, from_datasets
from limbeck.errors import ArgumentError, DataError, ModelError, NoEffectWarning, SettingsError
from limbeck.evaluate.quality import collect
from limbeck.loops.lamb import Lamb
from limbeck.methods.pld.pld import PLD
from limbeck.outputs import Outputs
from limbeck.run import Run
from limbeck.teachers import column, ensemble, teacher

FAST = {"steps": 15, "batch_size": 16, "teaching": {"steps": 0}}


@pytest.fixture(scope="module")
def data():
    return digits().few(60)


def network(seed=0, outputs=10, inputs=64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def distil(folder, data, changes=None, **inputs):
    method = PLD(**{**FAST, **(changes or {})})
    given = {"teacher": network(1), "student": network(3), "data": data, **inputs}
    return method.distill(Run(folder), **given)


def logits(classes=6, rows=5):
    torch.manual_seed(0)
    student, told = 2 * torch.randn(2, rows, classes, dtype=torch.float64)
    return student, told, torch.randint(classes, (rows,))


def term(method, student, told, y):
    terms = method.objective()(Outputs(logits=student), Outputs(logits=told), Batch({"y": y}))
    assert set(terms) == {"pld"}
    return terms["pld"]


def expected(student, told, y, weigh):
    """Rank by rank as the paper has it; `weigh` gives the weight of a class and its place."""
    total = 0.0
    for s, t, label in zip(student, told, y.tolist(), strict=True):
        others = sorted({*range(len(t))} - {label}, key=lambda c: -t[c])
        left = [label, *others]
        for place in range(len(t)):
            chosen = left[0]
            total = total + weigh(t, chosen, place) * (s[left].logsumexp(0) - s[chosen])
            left = left[1:]
    return total / len(y)


WEIGHTS = {
    "teacher": lambda t, chosen, place: (t / 3).softmax(0)[chosen],
    "uniform": lambda t, chosen, place: 1 / 6,
    # 31, 15, 7, 3, 1, 0: their sum is 57.
    "position": lambda t, chosen, place: (2 ** (6 - 1 - place) - 1) / 57,
}


@pytest.mark.parametrize("weighting", WEIGHTS)
def test_the_loss_is_that_of_the_paper(weighting):
    batch = logits()
    found = term(PLD(temperature=3.0, weighting=weighting), *batch)
    torch.testing.assert_close(found, expected(*batch, WEIGHTS[weighting]))


def test_a_least_first_weight_brings_the_label_back():
    student, told, y = logits()
    wrong = 30 * F.one_hot((y + 1) % 6, 6).double()  # a teacher that is wrong and sure
    student = student.requires_grad_()
    rows, slopes = torch.arange(len(y)), []
    for least in (0.0, 0.5, 1.0):
        loss = term(PLD(min_first_weight=least), student, wrong, y)
        slopes.append(-torch.autograd.grad(loss, student)[0][rows, y].mean())
    assert slopes[0].abs() < 1e-9
    assert slopes[1] > 0.01
    torch.testing.assert_close(
        term(PLD(min_first_weight=1.0), student, told, y), F.cross_entropy(student, y)
    )


def test_the_temperature_touches_the_weights_only():
    student, told, y = logits()
    cold = term(PLD(temperature=0.5), student, told, y)
    torch.testing.assert_close(cold, term(PLD(), student, 2 * told, y))
    hot = term(PLD(temperature=1e9), student, told, y)
    torch.testing.assert_close(hot, term(PLD(weighting="uniform"), student, told, y))


def test_one_term_is_trained_and_the_baseline_sees_labels_only(data, tmp_path):
    method = PLD(**FAST)
    inputs = {"teacher": network(1), "student": network(3), "data": data}
    run = Run(tmp_path / "run")
    method.distill(run, **inputs)
    assert list(method.baselines(run, **inputs)) == ["student alone"]
    rows = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    names = {stage: set() for stage in ("student", "alone")}
    for row in rows:
        names[row.pop("stage")] |= set(row) - {"step", "seconds", "wait_seconds"}
    assert names == {"student": {"pld"}, "alone": {"labels"}}
    assert len(rows) == 2 * FAST["steps"]


def test_weightings_train_other_students(data, tmp_path):
    changes = {
        "teacher": {},
        "uniform": {"weighting": "uniform"},
        "position": {"weighting": "position"},
        "label": {"min_first_weight": 0.9},
        "warm": {"temperature": 4.0},
    }
    weights = [
        distil(tmp_path / name, data, one).network[1].weight for name, one in changes.items()
    ]
    for place, one in enumerate(weights):
        assert not any(torch.equal(one, other) for other in weights[:place])


def test_stored_logits_teach_like_the_model_and_several_teachers_like_their_mean(tmp_path):
    torch.manual_seed(0)
    x, y = torch.rand(80, 6), torch.arange(80) % 3
    pair = [network(seed, 3, 6) for seed in (1, 2)]
    told = [one(x).detach() for one in pair]
    mean = torch.stack([one.softmax(1) for one in told]).mean(0).log()
    columns = [{"x": x[i], "y": y[i], "told": told[0][i], "mean": mean[i]} for i in range(80)]
    data = from_datasets(columns[:60], columns[60:])
    student = {"student": network(3, 3, 6)}
    made = {
        name: distil(tmp_path / name, data, teacher=source, **student).network[1].weight
        for name, source in {
            "model": pair[0],
            "column": column("told"),
            "pair": ensemble(*map(teacher, pair)),
            "mean": column("mean"),
        }.items()
    }
    torch.testing.assert_close(made["column"], made["model"])
    torch.testing.assert_close(made["mean"], made["pair"])
    assert not torch.allclose(made["model"], made["pair"])


def test_early_stopping_takes_the_best_of_the_validation_samples(data, tmp_path):
    made = distil(
        tmp_path / "run",
        data,
        {"steps": 300, "optim": {"lr": 3e-2}, "patience": 2, "look_every": 5},
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    scores = [row["score"] for row in map(json.loads, lines) if "score" in row]
    assert len(scores) < 300 / 5
    assert scores.index(max(scores)) == len(scores) - 3
    logits, target = collect(made.outputs, data, data.validation)
    assert float((logits.argmax(1) == target).double().mean()) == pytest.approx(max(scores))


def test_a_temperature_without_effect_is_warned_of(data, tmp_path):
    with pytest.warns(NoEffectWarning, match="temperature is 4 and weighting 'uniform'"):
        distil(tmp_path / "run", data, {"weighting": "uniform", "temperature": 4.0})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temperature": 0}, r"PLD\.temperature is 0: input should be greater than 0"),
        ({"weighting": "ones"}, r"PLD\.weighting is 'ones'.*'teacher', 'uniform' or 'position'"),
        ({"min_first_weight": 1.5}, r"PLD\.min_first_weight is 1\.5"),
        ({"weight": 0.5}, "no setting 'weight'; did you mean weighting"),
    ],
)
def test_impossible_settings_are_refused(given, words):
    with pytest.raises(SettingsError, match=words):
        PLD(**given)


def test_other_tasks_are_refused(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, 64, generator=generator)
    several = (torch.rand(60, 3, generator=generator) > 0.5).long()
    for task, y in (("regression", x[:, 0]), ("multilabel", several)):
        other = from_arrays(x, y, task=task)
        models = {"teacher": network(1, other.outputs), "student": network(3, other.outputs)}
        with pytest.raises(ArgumentError, match=f"pld is for classification, and .* is {task}"):
            distil(tmp_path / task, other, **models)
        assert not (tmp_path / task).exists()


def test_a_teacher_of_other_classes_or_without_finite_logits_is_refused(data, tmp_path):
    with pytest.raises(ModelError, match="gives 7 classes and digits has 10"):
        distil(tmp_path / "other", data, teacher=network(1, 7))
    broken = network(1)
    with torch.no_grad():
        broken[3].bias[2] = float("nan")
    with pytest.raises((ArgumentError, DataError), match="NaN"):
        distil(tmp_path / "nan", data, teacher=broken)


def test_paper_presets_have_the_published_values():
    image = PLD(**cards.preset("pld", "paper-imagenet-resnet50")["settings"])
    assert (image.temperature, image.batch_size, image.optim.lr) == (1.0, 2048, 5e-3)
    assert image.steps == pytest.approx(100 * 1_281_167 / 2048, abs=1)
    assert image.optim.warmup * image.steps == pytest.approx(5 * 1_281_167 / 2048, abs=1)
    assert isinstance(image.optim.build([nn.Parameter(torch.ones(1))]), Lamb)
    small = PLD(**cards.preset("pld", "paper-cifar100-resnet50-mobilenetv2")["settings"])
    assert (small.temperature, small.optim.weight_decay) == (4.0, 0.5)
    assert small.steps == pytest.approx(250 * 50_000 / 128, abs=1)


def test_claims_compare_with_kd_taught_by_the_same_teachers():
    from limbeck.claims import Trial
    from limbeck.methods.pld import claims

    seen = []

    class Recorded(Trial):
        def tables(self, settings, inputs, label="runs", *, method=None):
            seen.append((method, settings.get("weight"), settings["steps"], inputs["data"]))
            rate = 0.9 if method == "pld" else 0.95
            roles = {"product": rate, "baseline": 0.8, "teacher": 0.97}
            rows = [{"role": role, "quality": {"accuracy": one}} for role, one in roles.items()]
            return [rows] * len(self.seeds)

    verdict = claims.level_with_kd(Recorded("pld", None))
    assert not verdict.held
    assert verdict.figures["mean_gap_to_kd"] == pytest.approx(-0.05)
    assert len(verdict.figures["kd"]) == 5
    assert ("kd", 0.9, 250, "digits?samples=200") in seen
    assert claims.beats_labels(Recorded("pld", None)).held
    assert not claims.teacher_weights_beat_uniform(Recorded("pld", None)).held
