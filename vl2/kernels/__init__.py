"""Fast kernels, each beside a short pure-torch reference with the same signature."""
