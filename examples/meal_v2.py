"""Fine-tune a student on the mean of three trained torch modules.

Run it: python examples/meal_v2.py
"""

import tempfile

import torch
from torch import nn

import limbeck
from limbeck.data import digits

data = digits().few(200)


def network(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def trained(width: int) -> nn.Module:
    """A teacher as you may have it: any module, trained in a loop of your own."""
    model = network(width)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    columns = data.rest.take(torch.arange(len(data.rest)).numpy())
    x = data.input_space.normalise(columns["x"].float() / 255)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), columns["y"]).backward()
        optimiser.step()
    return model


torch.manual_seed(0)
teachers = limbeck.ensemble(*[limbeck.teacher(trained(width)) for width in (64, 128, 256)])
method = limbeck.MealV2(
    initial_steps=300, steps=300, initial_optim=limbeck.Optim(lr=3e-3), batch_size=50
)
inputs = {"teacher": teachers, "student": network(8), "data": data}
run = tempfile.mkdtemp()
student = method.distill(run, **inputs)
print(f"{'fine-tuned':15} {student.evaluate(data)['accuracy']:.3f}")
for name, other in method.baselines(run, **inputs).items():
    print(f"{name:15} {other.evaluate(data)['accuracy']:.3f}")
