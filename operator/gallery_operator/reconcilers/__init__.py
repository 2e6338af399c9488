"""One module a kind: observe, decide by a pure function, act once, report an outcome."""
