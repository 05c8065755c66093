"""Runtimes without torch: each turns a graph into a forward, pixels (N, H, W, channels) uint8 to probabilities."""
