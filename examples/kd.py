"""Distil two teachers into one small student, from arrays of your own.

Run it: python examples/kd.py
"""

import tempfile

from sklearn.datasets import load_digits
from torch import nn

import limbeck

# Your data: any arrays. 8x8 images here, as floats from 0 to 1.
x, y = load_digits(return_X_y=True)
data = limbeck.from_arrays((x / 16).reshape(-1, 8, 8), y, standardise=True, name="my digits")

# Labels are dear: the student sees 200, teachers trained here learn from the others.
data = data.few(200)

# Your student: any torch module that returns logits.
student = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))

# Teachers by name are trained on the data first; trained modules are taken as they are.
method = limbeck.KD(temperature=4, steps=800, optim=limbeck.Optim(lr=3e-3), teaching={"steps": 300})
inputs = {"teacher": ["mlp?hidden=128", "cnn?width=8"], "student": student, "data": data}
run = tempfile.mkdtemp()
distilled = method.distill(run, **inputs)
alone = method.baselines(run, **inputs)

print(distilled.summary())
print(f"distilled     {distilled.evaluate(data)['accuracy']:.3f}")
print(f"student alone {alone['student alone'].evaluate(data)['accuracy']:.3f}")
print(f"predictions   {distilled.predict(x[:5].reshape(-1, 8, 8) / 16).tolist()}")
