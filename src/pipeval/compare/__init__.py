"""Two reports beside each other: what moved, and why."""
