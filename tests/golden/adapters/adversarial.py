"""The discriminator of logits."""

from __future__ import annotations

from limbeck.functional.adversarial import discriminator_input, discriminator_loss
from limbeck.networks.discriminator import LogitDiscriminator

from ..harness import adapter


@adapter("meal-v2", "logit_discriminator_loss", grad_student="student_logits")
def logit_discriminator_loss(inputs, params):
    student, teacher = inputs["student_logits"], inputs["teacher_logits"]
    network = LogitDiscriminator(student.shape[1], reduction=params["K"], final_relu=True)
    weights = [inputs[f"{kind}{layer}"] for layer in (1, 2, 3) for kind in ("w", "b")]
    network.to(student.dtype)
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    student = discriminator_input(student, mode="cooperative")
    return {"loss": discriminator_loss(network(student), network(teacher))}
