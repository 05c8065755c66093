"""The contenders by name; each trains on the images of a split within a budget, then answers label maps."""
