"""Many requests at once over the same modules as everything else: continuous batching with a paged cache."""
