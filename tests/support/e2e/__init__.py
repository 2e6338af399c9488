"""What the end-to-end tests stand on: a cluster, the simulator in it, the installed chart, and ways to look at them."""
