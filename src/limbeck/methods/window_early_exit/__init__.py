"""Window early exit: a cascade whose later models see only samples near a decision."""
