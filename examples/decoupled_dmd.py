"""Decoupled DMD: eight clouds of points in two steps, with guidance baked in.

Run it: python examples/decoupled_dmd.py
"""

import tempfile

import torch

import limbeck
from limbeck.data.names import resolve

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

method = limbeck.DecoupledDMD(
    sampler={"levels": (1.0, 0.5)},
    guidance=1.5,
    matching={"steps": 120, "fake_per_student": 2, "batch_size": 128},
    teaching={"steps": 600, "batch_size": 256},
)
folder = tempfile.mkdtemp()
generator = method.distill(folder, teacher="denoiser-mlp?width=64&depth=2", data="ring8-2c")
print(generator.summary())

# The same seed gives the same noise, whatever the number of samples.
points = generator.sample([0, 1, 0, 1], seed=3)
assert torch.equal(points, generator.sample([0, 1, 0, 1, 0], seed=3)[:4])
print(points)

# What samples are worth, held against real ones that no network has seen.
for name, value in generator.evaluate(resolve("ring8-2c")).items():
    print(f"{name}: {value:.3f}")

again = limbeck.load(folder)
assert torch.equal(points, again.sample([0, 1, 0, 1], seed=3))
