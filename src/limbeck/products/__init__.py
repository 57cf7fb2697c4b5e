"""What comes out of a method."""

from limbeck.products.student import Student

__all__ = ["Student"]
