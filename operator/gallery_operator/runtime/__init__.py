"""Running the operator: work queue, leader election, health, events."""
