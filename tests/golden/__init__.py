"""Golden cases: inputs and the values that published implementations give for them."""
