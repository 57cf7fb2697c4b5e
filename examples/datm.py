"""DATM: digits at random places become one image a class; then a network learns from those alone.

Run it: python examples/datm.py
"""

import tempfile

import torch

import limbeck
from limbeck.data.names import resolve

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

real = resolve("shifted-digits")
method = limbeck.DATM(
    images_per_class=1,
    network="convnet-d2?width=8",
    whitening=False,
    augmentation="",
    labels="hard",
    start="real",
    steps=40,
    student_steps=10,
    max_start_epoch=3,
    sequential=False,
    threshold=None,
    step_size=0.02,
    experts={
        "count": 2,
        "epochs": 5,
        "batch_size": 128,
        "optim": {"name": "sgd", "lr": 0.02},
        "views": {},
        "radius": 0.0,
    },
    protocol={"repeats": 2, "steps": 150, "lr": 0.02, "augmentation": "none"},
)
folder = tempfile.mkdtemp()
small = method.distill(folder, data=real)
print(small.summary())
print("pictures:", small.pictures().shape, "bytes:", small.bytes()["total"])

learned = small.judged(real)
chosen = method.baselines(folder, data=real)["random images"].judged(real)
print(f"networks trained on 10 learned images: {learned.mean:.3f} ± {learned.std:.3f}")
print(f"networks trained on 10 random images:  {chosen.mean:.3f} ± {chosen.std:.3f}")

# The set in a loop of your own.
x, y = small.as_torch().tensors
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(x[0].numel(), 10))
optimiser = torch.optim.SGD(network.parameters(), lr=small.step_size)
for _ in range(20):
    optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(network(x), y)
    loss.backward()
    optimiser.step()
print(f"a linear model's loss on them after 20 steps: {loss.item():.3f}")
