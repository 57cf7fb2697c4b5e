"""CDA: shifted digits become ten images a class, and a network of your own learns from them.

Run it: python examples/cda.py
"""

import tempfile

import torch

import limbeck
from limbeck.data.names import resolve
from limbeck.functional import soft_target_loss
from limbeck.networks.names import build

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

real = resolve("shifted-digits")
method = limbeck.CDA(
    images_per_class=10,
    patches={"factor": 1, "candidates": 20},
    recovery={
        "steps": 40,
        "statistics_weight": 0.1,
        "views": {"milestone": 1.0, "low": 0.3, "flip": False, "roll": 1},
    },
    relabelling={"views": {"steps": 100, "batch_size": 50, "low": 0.3, "flip": False}},
    teaching={"steps": 150, "batch_size": 64},
)
small = method.distill(tempfile.mkdtemp(), teacher="convnet-d2?norm=batch&width=16", data=real)
print(small.summary())
print("bytes:", small.bytes())

# A student of your own on the very batches that the teacher was asked about.
student = build("convnet-d2?norm=batch&width=8", small.space, 10)
optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
batches = small.replay(batch_size=50)
for batch in batches.batches(0, batches.steps):
    loss = soft_target_loss(
        student(batch["x"]), batch["teacher_logits"], temperature=20, temperature_squared=False
    )
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

student.eval()
test = real.normalise(real.columns(real.test, range(len(real.test))))
right = (student(test["x"]).argmax(1) == test["y"]).float().mean()
print(f"a student of 100 recovered images: {right:.3f} of the test images right")
