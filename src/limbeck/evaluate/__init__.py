"""Quality and cost side by side."""
