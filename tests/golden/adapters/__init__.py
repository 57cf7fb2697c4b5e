"""One module a topic: each function says how limbeck computes what a golden case asks for."""
