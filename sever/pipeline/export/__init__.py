"""`sever export` and `sever verify`: a trained model as one file, and the proof that it answers as before."""
