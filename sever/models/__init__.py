"""Tensors and weights: networks, losses, the training loop, prediction. Logits never leave this room."""
