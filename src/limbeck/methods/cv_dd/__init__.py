"""Committee voting: images recovered from pairs of networks."""
