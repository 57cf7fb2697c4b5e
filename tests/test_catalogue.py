"""The catalogue of losses: what the source says is what the functions carry, and it is true."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import limbeck
import limbeck.functional
import limbeck.objectives
from limbeck import catalogue, functional
from limbeck.catalogue import Loss, loss_for_outputs, loss_named, losses
from limbeck.data import Batch
from limbeck.errors import SettingsError
from limbeck.outputs import Outputs

ROOT = Path(__file__).parents[1]


def function_of(entry):
    return getattr(importlib.import_module(f"limbeck.functional.{entry.topic}"), entry.function)


def test_the_source_says_what_the_functions_carry():
    carried = []
    for path in sorted(catalogue.FUNCTIONAL.glob("*.py")):
        module = importlib.import_module(f"limbeck.functional.{path.stem}")
        own = [
            one
            for one in vars(module).values()
            if inspect.isfunction(one) and one.__module__ == module.__name__
        ]
        for function in sorted(own, key=lambda one: one.__code__.co_firstlineno):
            carried += getattr(function, "losses", ())
    assert list(losses()) == carried
    assert len(carried) > 30


def test_every_public_loss_is_in_it():
    public = {name for name in functional.__all__ if name.endswith("_loss")}
    public |= {"cross_entropy", "binary_cross_entropy", "squared_error"}
    # A gradient that is given, and a critic of samples, have neither teacher nor labels.
    public -= {"surrogate_loss", "generator_loss", "critic_loss"}
    assert public == {one.function for one in losses()}


def test_names_are_different_and_words_are_known():
    assert len({one.name for one in losses()}) == len(losses())
    for one in losses():
        assert one.student in catalogue.OUTPUTS
        assert set(one.teacher) <= set(catalogue.OUTPUTS), one.name
        assert set(one.labels) <= set(catalogue.LABELS), one.name
        assert one.teacher or one.labels, one.name
        assert set(one.options) <= set(inspect.signature(function_of(one)).parameters)
        assert not one.summary.endswith(".")


@pytest.mark.parametrize("entry", losses(), ids=lambda one: one.name)
def test_a_paper_that_is_named_is_the_one_of_the_function(entry):
    number = entry.source.partition("arXiv ")[2][:10]
    said = " ".join(function_of(entry).__doc__.split())
    if number and entry.name not in ("multilabel-kl", "mse", "reverse-kl"):
        assert number in said
    if entry.softens:
        assert "temperature" in inspect.signature(function_of(entry)).parameters


@pytest.mark.parametrize("entry", [one for one in losses() if "top-k" in one.teacher])
def test_losses_for_a_teachers_top_k_learn_from_them(entry):
    logits = torch.tensor([[3.0, 2.0, 0.5, 0.0], [0.0, 0.5, 4.0, 3.0]])
    best = logits.topk(2, dim=1)
    known = torch.zeros_like(logits, dtype=torch.bool).scatter(1, best.indices, True)
    student = torch.zeros_like(logits).requires_grad_()
    if "mask" in inspect.signature(function_of(entry)).parameters:
        value = function_of(entry)(student, logits, mask=known)
    else:
        value = function_of(entry)(student, logits.masked_fill(~known, -torch.inf), **entry.options)
    value.backward()
    assert value > 0
    assert bool(student.grad.isfinite().all())
    # What the teacher ranks first of the two is pushed up, the second less.
    assert bool((student.grad[[0, 1], [0, 2]] < student.grad[[0, 1], [1, 3]]).all())


def test_rows_of_what_one_has_hold_every_loss():
    rows = catalogue.by_what_you_have()
    assert {one.name for _, _, found in rows for one in found} == {one.name for one in losses()}
    table = {(teacher, labels): [one.name for one in found] for teacher, labels, found in rows}
    assert "kl" in table["probabilities", ""]
    assert table["scores", "ordered pairs"] == ["margin-mse"]
    assert "cross-entropy" in table["", "class labels"]


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(SettingsError, match="did you mean dkd"):
        loss_named("dkkd")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rkd-distance", "student='features.PATH'"),
        ("margin-mse", "needs student scores, teacher scores, ordered pairs"),
        ("token-kl", "limbeck.functional.token_divergence_loss"),
        ("token-js", r"token_divergence_loss\(..., divergence='js'\)"),
        ("minilm", "compare='kl'"),
        ("patient-kd", "normalize=True"),
    ],
)
def test_a_loss_that_needs_more_says_how_it_is_used(name, said):
    with pytest.raises(SettingsError, match=said):
        loss_for_outputs(name)


def test_needs_read_as_words():
    one = Loss("a", "b", "logits", "c", teacher=("logits", "top-k"), labels=("class labels",))
    assert one.needs == "student logits, teacher logits or top-k, class labels"


def test_listing_needs_no_torch():
    code = (
        "import sys; from limbeck.cli import main; sys.argv[1:] = ['list', '--losses', '--json']\n"
        "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    facts, has_torch = done.stdout.splitlines()[-2:]
    assert has_torch == "False"
    assert [one["name"] for one in json.loads(facts)["losses"]] == [one.name for one in losses()]


@pytest.mark.parametrize(
    "entry",
    [one for one in losses() if one.student in ("features", "attention")],
    ids=lambda one: one.name,
)
def test_what_is_said_about_features_works(entry):
    """The text that an error shows is an objective with the options of the name."""
    with pytest.raises(SettingsError) as refused:
        loss_for_outputs(entry.name)
    text = str(refused.value).partition("in Python: ")[2].partition(" with the paths")[0]
    objective = eval(text.replace("PATH", "body"), {"limbeck": limbeck, "Term": limbeck.Term})
    shape = (4, 2, 3, 3) if entry.name in ("attention-transfer", "fsp", "gram") else (4, 3)
    shape = (4, 2, 3, 3) if entry.student == "attention" else shape
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=generator) for _ in range(2))
    logits, y = torch.randn(4, 5, generator=generator), torch.arange(4)
    said, told = (
        Outputs(logits=logits, features={"body": x}) for x in (student.requires_grad_(), teacher)
    )
    objective.prepare(said, told)
    value = objective(said, told, Batch({"y": y}))[entry.name]
    value.backward()
    assert bool(student.grad.isfinite().all())
    assert objective.student_features == {"body"}
    if entry.name not in ("fsp", "vid", "semantic"):
        expected = function_of(entry)(student, teacher, **entry.options)
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("name", ["ranknet-ranks", "adr-mse-ranks"])
def test_losses_for_ranks_take_1_as_the_best(name):
    entry = loss_named(name)
    student = torch.zeros(1, 3, requires_grad=True)
    function_of(entry)(student, torch.tensor([[2.0, 1.0, 3.0]]), **entry.options).backward()
    assert student.grad[0].argsort().tolist() == [1, 0, 2]
    rows = catalogue.by_what_you_have()
    table = {row[:2]: [one.name for one in row[2]] for row in rows}
    assert name in table["ranks", ""]
    assert name.removesuffix("-ranks") not in table["ranks", ""]
