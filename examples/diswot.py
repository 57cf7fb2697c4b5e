"""DisWOT: which student suits a teacher, told before training, then distilled from it.

Run it: python examples/diswot.py
"""

import tempfile

import torch

import limbeck
from limbeck.networks.spaces import Space

torch.set_num_threads(1)  # these networks are tiny: threads would only wait for each other

teacher = "resnet?blocks=3x3&width=8"
space = "resnet?blocks={1,2,3}x{1,2,3}&width=8"
folder = tempfile.mkdtemp()

method = limbeck.DisWOT(batch_size=32, limits={"parameters": 12_000})
shortlist = method.distill(folder, teacher=teacher, space=space, data="digits")
print(shortlist.summary())
print("refused:", shortlist.facts["rejected"])
for place, entry in enumerate(shortlist.entries[:3], start=1):
    told = f"{entry.label}: score {entry.scores['score']:.2f}, {entry.cost['macs']:,} multiply-adds"
    print(place, told, f"- by parameters alone {entry.ranks['parameters']}")
print("the score follows depth:", round(shortlist.facts["kendall_with"]["depth"], 2))

# Its best entry is a student by name, for any method.
student = limbeck.KD(steps=60, batch_size=64, teaching={"steps": 60}).distill(
    tempfile.mkdtemp(), teacher=teacher, student=f"shortlist:{folder}", data="digits"
)
print(student.summary())


# A space of your own is a function from choices to a network or to a name.
def perceptron(width, depth):
    return "mlp?hidden=" + "x".join([str(width)] * depth + ["16"])


own = Space({"width": (8, 16, 32), "depth": (1, 2)}, perceptron)
found = limbeck.DisWOT(batch_size=32).distill(
    tempfile.mkdtemp(), teacher="mlp?hidden=64x16", space=own, data="digits"
)
print(found.summary())
