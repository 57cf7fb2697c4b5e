"""Classic knowledge distillation."""
