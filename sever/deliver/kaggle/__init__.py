"""Kaggle: its data sets, kernels and submissions, by its own client (extra `sever[kaggle]`); knows no models.

Nothing here imports the client at import, since that signs in at once.
"""
