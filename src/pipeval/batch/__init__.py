"""Studies to reports: each study runs its notebook through papermill in a process of its own, when its inputs changed."""
