"""Pairs: made once, in the order of their settings, and learned from at the first level."""

import torch

from limbeck.data.space import InputSpace
from limbeck.keyed import torch_seeded
from limbeck.loops.draws import Draws
from limbeck.loops.pairs import Regression, regression_term, teacher_pairs
from limbeck.networks.names import build
from limbeck.run import Run

CPU = torch.device("cpu")


def denoiser(seed):
    with torch_seeded(seed):
        return build("denoiser-mlp?width=8&depth=1", InputSpace((2,)), 2)


def test_pairs_are_made_once_for_their_teacher_labels_and_count(tmp_path):
    teacher, run = denoiser(0).requires_grad_(False), Run(tmp_path)
    asked = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    few = Regression(weight=0.25, pairs=20, steps=3)
    first = teacher_pairs(run, teacher, torch.zeros(4, dtype=torch.long), few, 1.0)
    assert first["noise"].shape == first["sample"].shape == (20, 2)
    assert not first["condition"].any()
    calls = len(asked)
    # Another weight asks for the same pairs.
    again = Regression(weight=1.0, pairs=20, steps=3)
    same = teacher_pairs(run, teacher, torch.zeros(4, dtype=torch.long), again, 1.0)
    assert torch.equal(same["sample"], first["sample"])
    assert len(asked) == calls
    other = teacher_pairs(run, teacher, torch.ones(4, dtype=torch.long), few, 1.0)
    assert bool(other["condition"].all())


def test_a_student_that_makes_the_stored_samples_loses_nothing():
    student = denoiser(0)
    noise, condition = torch.randn(16, 2), torch.arange(16) % 2
    with torch.no_grad():
        made = student.predict(noise, 1.0, condition)
    pairs = {"noise": noise, "sample": made, "condition": condition}
    terms = regression_term(student, pairs, 1.0, 0.25, Draws(8, CPU))
    assert float(terms["regression"].detach()) < 1e-12
    pairs["sample"] = made + 2.0
    terms = regression_term(student, pairs, 1.0, 0.25, Draws(8, CPU))
    assert abs(float(terms["regression"].detach()) - 1.0) < 1e-4
