"""Phased DMD: a generator of two experts, one for much noise and one for little.

Run it: python examples/phased_dmd.py
"""

import tempfile

import torch

import limbeck

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

method = limbeck.PhasedDMD(
    levels=(1.0, 0.75, 0.5, 0.25),
    boundaries=(0.5,),
    matching={"steps": 60, "fake_per_student": 2, "batch_size": 128},
    teaching={"steps": 600, "batch_size": 256},
)
generator = method.distill(
    tempfile.mkdtemp(), teacher="denoiser-mlp?width=64&depth=2", data="overlap-2c"
)
print(generator.summary())

# Each expert is asked about its own levels alone.
for level, network in zip((0.9, 0.3), generator.network.experts, strict=True):
    x = torch.randn(5, 2)
    condition = torch.zeros(5, dtype=torch.long)
    alone = network.predict(x, level, condition)
    assert torch.equal(generator.network.predict(x, level, condition), alone)

for level, x in generator.path(4, seed=1).items():
    print(f"level {level:g}: {[[round(v, 2) for v in point] for point in x.tolist()]}")
