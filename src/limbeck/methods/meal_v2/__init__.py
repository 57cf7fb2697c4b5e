"""MEAL V2: a trained student fine-tuned on the mean of its teachers."""
