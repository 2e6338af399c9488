"""Pure decisions: desired and observed state in, next step or status out. No I/O; time is an argument."""
