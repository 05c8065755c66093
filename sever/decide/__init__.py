"""Plain arrays: probabilities to masks to evidence. No torch, no files, no HTTP."""
