"""CV-DD: two networks vote on three images a class; who counts how much, and what it is worth.

Run it: python examples/cv_dd.py
"""

import tempfile

import torch

import limbeck
from limbeck.data.names import resolve
from limbeck.functional import voting_weights

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

real = resolve("shifted-digits")
committee = ["convnet-d2?norm=batch&width=16", "convnet-d1?norm=batch&width=24"]
priors = (60.0, 52.0)  # measured on the validation split where none are given
print("votes:", [round(float(one), 3) for one in voting_weights(priors, 5.0)])

method = limbeck.CVDD(
    images_per_class=3,
    priors=priors,
    patches={"factor": 1, "candidates": 20, "difficulty": "medium"},
    recovery={
        "steps": 30,
        "statistics_weight": 0.1,
        "views": {"low": 0.3, "flip": False, "roll": 1},
    },
    relabelling={
        "views": {"steps": 80, "batch_size": 16, "low": 0.3, "flip": False},
        "batch_statistics": True,
        "pieces": 2,
    },
    recipe={"network": "convnet-d2?norm=batch&width=8", "repeats": 1, "accumulate": 2},
    teaching={"steps": 120, "batch_size": 64},
)
folder = tempfile.mkdtemp()
small = method.distill(folder, teacher=committee, data=real)
print(small.summary())
judged = small.judged(real)
print(f"a network trained on 30 recovered images: {judged.mean:.3f}")
again = limbeck.load(folder)
print("the same after loading:", torch.equal(again.images, small.images))
