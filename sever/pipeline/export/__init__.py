"""`sever export` and `sever verify`: a trained model as one file, and the proof that the file answers as the model does."""
