"""Records and synthetic samples to packed batches: everything a training step reads."""
