"""PLD in a loop of your own: one line is the criterion, then its variants side by side.

Run it: python examples/pld.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from limbeck.functional import plackett_luce_loss

torch.set_num_threads(1)  # these tensors are tiny: threads would only wait for each other

# Your data and networks: anything that gives tensors and logits.
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
known, few, test = order[:1000], order[1000:1200], order[1200:]


def network(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def train(model: nn.Module, rows: torch.Tensor, criterion, steps: int) -> nn.Module:
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        criterion(model(x[rows]), rows).backward()
        optimiser.step()
    return model


def labels(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, y[rows])


teacher = train(network(128), known, labels, 200).requires_grad_(False)
with torch.no_grad():
    said = teacher(x)
right = (said[few].argmax(1) == y[few]).float().mean()
print(f"the teacher is right on {right:.1%} of what the student learns from")

criteria = {
    "cross-entropy": labels,
    "PLD": lambda z, rows: plackett_luce_loss(z, said[rows], y[rows]),
    "PLD, temperature 2": lambda z, rows: plackett_luce_loss(
        z, said[rows], y[rows], temperature=2.0
    ),
    "at least 0.9 for the label": lambda z, rows: plackett_luce_loss(
        z, said[rows], y[rows], min_first_weight=0.9
    ),
    "position-aware": lambda z, rows: plackett_luce_loss(
        z, said[rows], y[rows], weights="position"
    ),
    "uniform (ListMLE)": lambda z, rows: plackett_luce_loss(
        z, said[rows], y[rows], weights="uniform"
    ),
}
for name, criterion in criteria.items():
    student = train(network(8), few, criterion, 250)
    accuracy = (student(x[test]).argmax(1) == y[test]).float().mean()
    print(f"{name:27} {accuracy:.3f}")
