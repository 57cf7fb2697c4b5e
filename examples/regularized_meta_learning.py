"""Stack members of several kinds, see which of them go and why, and distil the stack.

Run it: python examples/regularized_meta_learning.py
"""

import tempfile
from pathlib import Path

import pandas as pd

import limbeck
from limbeck.data import friedman

# Your data: a table by name (csv:houses.csv?target=price), arrays, or as here an embedded set.
data = friedman(rows=360)

# Your members: any estimator of scikit-learn and any network by name; two of these say the same.
members = [
    "sklearn:linear-regression",
    "sklearn:ridge?alpha=0.5",
    "sklearn:k-neighbors?n_neighbors=9&scale=true",
    "sklearn:random-forest?n_estimators=20",
    "sklearn:gradient-boosting?n_estimators=40",
]

# Few penalties to choose from keep this short; the defaults are those of the paper.
method = limbeck.RegularizedMetaLearning(cv=5, penalties=("ridge", "lasso"))
folder = Path(tempfile.mkdtemp())
stack = method.distill(folder, data=data, teacher=members)

print(stack.summary())
for gone in stack.facts["removed"]:
    print(f"{gone['member']}: {gone['reason']} of {gone['kept']}")
before, after = stack.facts["condition_before"], stack.facts["condition_after"]
print(f"condition number {before:.0f} -> {after:.0f}")

# What each member says of rows that it did not see, kept by the run.
print(pd.read_parquet(folder / "out-of-fold.parquet").round(2).head(3).to_string(index=False))

for name, one in {"stack": stack, **method.baselines(folder, data=data, teacher=members)}.items():
    print(f"{name:22} rmse {one.evaluate(data)['rmse']:.3f} of {len(one.names)} members")

# A stack is a teacher: one small network instead of all of its members.
student = limbeck.KD(steps=1000, optim=limbeck.Optim(lr=1e-2)).distill(
    tempfile.mkdtemp(), teacher=stack, student="mlp?hidden=32", data=data
)
print(f"student of the stack   rmse {student.evaluate(data)['rmse']:.3f}")
