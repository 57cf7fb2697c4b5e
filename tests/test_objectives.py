"""Objectives are named terms that add and scale; what they cannot do is said early."""

import functools

import pytest
import torch
from torch import nn

from limbeck.catalogue import losses
from limbeck.data import Batch
from limbeck.errors import ArgumentError, ModelError, SettingsError
from limbeck.functional import cross_entropy, soft_target_loss
from limbeck.objectives import Objective, Term, label_term, named, soft_term, sum_terms
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
