"""limbeck."""
