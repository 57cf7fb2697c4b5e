"""List-wise distillation of the teacher's ranking."""
