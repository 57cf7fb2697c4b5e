"""Objectives are named terms that add and scale; what they cannot do is said early."""

import functools

import pytest
import torch
from torch import nn

from limbeck.catalogue import losses
from limbeck.data import Batch
from limbeck.errors import ArgumentError, ModelError, SettingsError
from limbeck.functional import cross_entropy, fsp_loss, soft_target_loss, vid_loss
from limbeck.objectives import (
    Objective,
    Term,
    Variational,
    label_term,
    named,
    soft_term,
    sum_terms,
)
from limbeck.outputs import Outputs

STUDENT = Outputs(
    logits=torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.0]]), features={"body": torch.ones(2, 4)}
)
TEACHER = Outputs(
    logits=torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]]), features={"body": torch.zeros(2, 4)}
)
BATCH = Batch({"y": torch.tensor([0, 1])})


def gap(student, teacher):
    return (student - teacher).abs().mean()


def test_a_term_calls_its_function_with_what_it_names():
    seen = []

    def loss(student, teacher, target, *, power):
        seen.append((student, teacher, target, power))
        return torch.tensor(3.0)

    term = Term("mine", loss, student="features.body", teacher="features.body", target="y", power=2)
    assert {name: float(value) for name, value in term(STUDENT, TEACHER, BATCH).items()} == {
        "mine": 3.0
    }
    (given,) = seen
    assert given[0] is STUDENT.features["body"]
    assert given[1] is TEACHER.features["body"]
    assert given[2] is BATCH["y"]
    assert given[3] == 2


def test_arguments_that_are_none_are_left_out():
    alone = Term("size", lambda student: student.square().mean(), teacher=None)
    assert float(alone(STUDENT, None, BATCH)["size"]) == float(STUDENT.logits.square().mean())
    told = Term("sure", lambda teacher: teacher.amax(), student=None)
    assert float(told(STUDENT, TEACHER, BATCH)["sure"]) == 3.0


def test_terms_add_and_scale():
    soft, hard = soft_term("classification", temperature=2.0), label_term("classification")
    terms = (2 * (soft * 0.5 + hard) + 3 * Term("gap", gap))(STUDENT, TEACHER, BATCH)
    assert list(terms) == ["soft", "labels", "gap"]
    expected = {
        "soft": soft_target_loss(STUDENT.logits, TEACHER.logits, temperature=2.0),
        "labels": 2 * cross_entropy(STUDENT.logits, BATCH["y"]),
        "gap": 3 * gap(STUDENT.logits, TEACHER.logits),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    torch.testing.assert_close(sum_terms(terms), sum(expected.values()))


def test_two_terms_of_one_name_are_refused():
    twice = label_term("classification") + 0.5 * label_term("classification")
    with pytest.raises(ArgumentError, match="two terms are called 'labels'"):
        twice(STUDENT, TEACHER, BATCH)


def test_an_unknown_option_suggests_the_nearest():
    with pytest.raises(ArgumentError, match="soft_target_loss has no option 'temprature'; did you"):
        Term("soft", soft_target_loss, temprature=2.0)
    with pytest.raises(ArgumentError, match="no option 'smoothing'; did you mean label_smoothing"):
        label_term("classification", smoothing=0.1)


def test_functions_that_take_any_option_are_believed():
    Term("any", lambda student, teacher, **options: options["a"], a=1)
    Term("partial", functools.partial(soft_target_loss, temperature=2.0))
    Term("module", nn.MSELoss())


def test_whether_a_teacher_is_needed_is_known():
    hard, soft = label_term("classification"), soft_term("classification")
    assert not hard.needs_teacher
    assert not (2 * hard).needs_teacher
    assert soft.needs_teacher
    assert (hard + 0.5 * soft).needs_teacher
    with pytest.raises(ArgumentError, match="term 'soft' reads a teacher and there is none"):
        soft(STUDENT, None, BATCH)


def test_student_features_are_collected():
    first = Term("a", gap, student="features.body", teacher="features.body")
    second = Term("b", gap, student="features.head.0", teacher="features.body")
    assert (first + 2 * (second + label_term("classification"))).student_features == {
        "body",
        "head.0",
    }
    with pytest.raises(ModelError, match=r"no output 'features\.head\.0'"):
        second(STUDENT, TEACHER, BATCH)


def test_parameters_of_a_function_are_parameters_of_the_objective():
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.projector = nn.Linear(4, 4)

        def forward(self, student, teacher):
            return gap(self.projector(student), teacher)

    term = Term("fit", Projected(), student="features.body", teacher="features.body")
    objective = label_term("classification") + 0.1 * term
    assert len(list(objective.parameters())) == 2
    sum_terms(objective(STUDENT, TEACHER, BATCH)).backward()
    assert all(one.grad is not None for one in objective.parameters())


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_losses_fit_their_task(task):
    labels = {"classification": BATCH["y"], "multilabel": torch.ones(2, 3)}
    batch = Batch({"y": labels.get(task, torch.zeros(2, 3))})
    objective = label_term(task) + soft_term(task, temperature=3.0)
    terms = objective(STUDENT, TEACHER, batch)
    assert all(term.ndim == 0 and float(term) > 0 for term in terms.values())
    agreeing = objective(TEACHER, TEACHER, batch)
    assert float(agreeing["soft"]) == pytest.approx(0, abs=1e-6)


def test_an_unknown_task_suggests_the_nearest():
    with pytest.raises(ArgumentError, match="'clasification'; did you mean classification"):
        label_term("clasification")


def test_an_objective_without_a_forward_says_so():
    class Empty(Objective):
        pass

    with pytest.raises(TypeError, match="Empty is an objective without a forward"):
        Empty()(STUDENT, TEACHER, BATCH)


def test_no_terms_are_no_loss():
    with pytest.raises(ArgumentError, match="no terms"):
        sum_terms({})


def test_repr_tells_what_is_computed():
    assert repr(Term("soft", soft_target_loss, temperature=2.0)) == (
        "Term('soft', soft_target_loss, temperature=2.0)"
    )
    labels = repr(2 * label_term("classification"))
    assert "weight=2" in labels
    assert "Term('labels', cross_entropy, teacher=None, target='y')" in labels


@pytest.mark.parametrize(
    "entry", [one for one in losses() if one.tasks], ids=lambda entry: entry.name
)
def test_a_name_of_the_catalogue_makes_an_objective(entry):
    batches = {
        "classification": BATCH,
        "multilabel": Batch({"y": torch.tensor([[0.0, 1, 1], [1, 0, 0]])}),
        "regression": Batch({"y": torch.ones(2, 3)}),
    }
    for task in entry.tasks:
        objective = named(entry.name, task=task)
        leaf = STUDENT.logits.clone().requires_grad_()
        (name, value), *rest = objective(Outputs(logits=leaf), TEACHER, batches[task]).items()
        assert (name, rest) == (entry.name, [])
        value.backward()
        assert bool(leaf.grad.isfinite().all())
        assert float(leaf.grad.abs().sum()) > 0
        assert objective.needs_teacher == bool(entry.teacher)


def test_a_name_is_its_function_with_its_options():
    said = named("js", task="classification", temperature=2.0)(STUDENT, TEACHER, BATCH)["js"]
    torch.testing.assert_close(
        said, soft_target_loss(STUDENT.logits, TEACHER.logits, divergence="js", temperature=2.0)
    )


@pytest.mark.parametrize(
    ("name", "task", "options", "said"),
    [
        ("dkdd", "classification", {}, "did you mean dkd"),
        ("dkd", "regression", {}, "dkd' is for classification.*losses for it: mse"),
        ("cka", "classification", {}, "student='features.PATH'"),
        ("dkd", "classification", {"temprature": 1}, "did you mean temperature"),
    ],
)
def test_names_that_make_no_objective_say_why(name, task, options, said):
    with pytest.raises((SettingsError, ArgumentError), match=said):
        named(name, task=task, **options)


def test_several_outputs_go_to_a_function_as_a_tuple():
    maps = {"a": torch.ones(2, 3, 4, 4), "b": torch.ones(2, 5, 4, 4)}
    teacher = {"a": torch.ones(2, 3, 2, 2), "c": 3 * torch.ones(2, 5, 2, 2)}
    paths = {"student": ("features.a", "features.b"), "teacher": ("features.a", "features.c")}
    flow = Term("flow", fsp_loss, **paths)
    assert flow(Outputs(features=maps), Outputs(features=teacher), BATCH)["flow"].item() == 4
    assert flow.student_features == {"a", "b"}
    assert flow.teacher_outputs == {"features.a", "features.c"}
    with pytest.raises(ArgumentError, match="reads only one of them, or several"):
        Term("flow", fsp_loss, **paths, project=True)


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (vid_loss, {}, "vid_loss cannot be called with .*student, teacher: missing.*log_variance"),
        (cross_entropy, {}, "cross_entropy cannot be called with .*student: missing"),
        (cross_entropy, {"target": "y", "teacher": "logits"}, "too many positional"),
        (gap, {"target": "y"}, "gap cannot be called with what the term gives it"),
    ],
)
def test_a_function_that_needs_more_is_refused_at_once(function, options, said):
    options = {"teacher": None, **options} if function is cross_entropy else options
    with pytest.raises(ArgumentError, match=said):
        Term("wrong", function, **options)


def test_a_value_for_every_sample_is_no_term():
    each = Term("each", soft_target_loss, reduction="none")
    with pytest.raises(ArgumentError, match=r"term 'each' gave shape \(2,\).*reduction=\"mean\""):
        each(STUDENT, TEACHER, BATCH)


@pytest.mark.parametrize("shape", [(6, 4), (6, 5, 4), (6, 4, 3, 3)])
def test_variances_are_learned_along_with_the_projector(shape):
    wide = list(shape)
    wide[1 if len(shape) == 4 else -1] = 8
    generator = torch.Generator().manual_seed(0)
    small, big = torch.randn(shape, generator=generator), torch.randn(wide, generator=generator)
    said, told = Outputs(features={"body": small}), Outputs(features={"body": big})
    vid = Variational("vid", student="features.body", teacher="features.body")
    assert (2 * vid + label_term("classification")).projects
    assert (vid.student_features, vid.teacher_outputs) == ({"body"}, {"features.body"})
    with pytest.raises(ArgumentError, match=r"not made; call prepare"):
        vid(said, told, BATCH)
    with pytest.raises(ArgumentError, match="term 'vid' reads a teacher and there is none"):
        vid.prepare(said, None)
    vid.prepare(said, told)
    made = list(vid.parameters())
    vid.prepare(said, told)
    assert [id(one) for one in vid.parameters()] == [id(one) for one in made]
    optimiser = torch.optim.Adam(vid.parameters(), lr=0.05)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = vid(said, told, BATCH)["vid"]
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.05
    assert (vid.likelihood.log_variance != 0).all()
    axis = 1 if len(shape) == 4 else len(shape) - 1
    expected = vid_loss(vid.term.projector(small), big, vid.likelihood.log_variance, axis=axis)
    torch.testing.assert_close(vid(said, told, BATCH)["vid"], expected)


def test_variances_without_a_projector():
    said = Outputs(features={"body": torch.zeros(2, 4)})
    options = {"student": "features.body", "teacher": "features.body", "project": False}
    vid = Variational("vid", **options)
    with pytest.raises(ArgumentError, match="the variances of term 'vid' are not made"):
        vid(said, said, BATCH)
    vid.prepare(said, said)
    assert [tuple(one.shape) for one in vid.parameters()] == [(4,)]
    assert vid(said, said, BATCH)["vid"].item() == pytest.approx(0, abs=1e-4)
