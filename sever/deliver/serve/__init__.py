"""The inspection service: images in, answers out, kept and corrected; knows a model by what it says, and no torch."""
