"""Two trained torch modules as a cascade that declines what it is unsure of.

Run it: python examples/window_early_exit.py
"""

import numpy as np
import torch
from torch import nn

import limbeck
from limbeck.data import shifted_digits

data = shifted_digits()


def trained(seed: int) -> nn.Module:
    """A member as you may have it: any module, trained in a loop of your own."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    columns = data.columns(data.train, np.arange(len(data.train)))
    x = data.input_space.normalise(columns["x"])
    for rows in torch.randint(len(x), (600, 64)):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), columns["y"][rows]).backward()
        optimiser.step()
    return model


cascade = limbeck.WindowCascade.of([trained(0), trained(1)], data)
cascade.calibrate(data, limbeck.ExitPolicy(task="risk_at_coverage", target=0.8))

for name, one in {"first": cascade.first, "cascade": cascade, "both": cascade.whole}.items():
    figures, cost = one.evaluate(data), one.cost(data)
    print(f"{name:8} risk@80 {figures['risk_at_80']:.3f}  MACs {cost['macs']:,.0f}")

samples = data.columns(data.test, np.arange(len(data.test)))
accepted = cascade.accept(samples["x"])
right = cascade.predict(samples["x"]) == samples["y"]
print(
    f"answers {accepted.double().mean():.0%}, {right[accepted].double().mean():.1%} of them right"
)
print("stages:", cascade.reached(samples["x"]).bincount().tolist())
