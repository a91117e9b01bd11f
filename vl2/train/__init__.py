"""Training: recipe in, checkpoints, metrics, plots and exported weights out."""
