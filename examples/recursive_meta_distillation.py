"""Does repeated distillation converge? A chain with an anchor and one without, and a rule checked.

Run it: python examples/recursive_meta_distillation.py
"""

import json
import tempfile
import warnings
from pathlib import Path

import torch

import limbeck
from limbeck.functional import AxiomSpec, check_axioms

# A rule of your own: trust the teachers' median, class by class.


def median(members, weights):
    middle = members.median(0).values
    return middle / middle.sum(-1, keepdim=True)


report = check_axioms(median, AxiomSpec(kind="pool", classes=(3, 10)))
print(report)
worst = report[report.failed[0]].counter_example
print("breaks", report.failed[0], "most with\n", worst["members"])

# Two chains of the same students; only one hears the base teachers after the first generation.
data = limbeck.data.digits()
inputs = {"teacher": ["mlp?hidden=128", "mlp?hidden=64x64"], "student": "mlp?hidden=64"}
optim = limbeck.Optim(lr=3e-3, schedule="cosine")
torch.set_num_threads(1)
warnings.simplefilter("ignore", limbeck.errors.NoEffectWarning)
for anchor in (0.5, 0.0):
    method = limbeck.RecursiveMetaDistillation(
        anchor=anchor,
        generations=4,
        initial_labels=50,
        initial_steps=150,
        initial_optim=optim,
        steps=200,
        optim=optim,
        teaching={"steps": 200, "optim": {"lr": 3e-3}},
    )
    folder = Path(tempfile.mkdtemp())
    student = method.distill(folder, data=data, **inputs)
    found = json.loads((folder / "convergence.json").read_text())
    path = " ".join(f"{row['tv']:.3f}" for row in found["generations"])
    print(f"anchor {anchor}: total variation {path}")
    print(f"  {found['verdict']}")
    print(f"  accuracy of the last student {student.evaluate(data)['accuracy']:.3f}")
