"""Curriculum data augmentation: images recovered from one network, whole pictures first."""
