"""`sever download`, `upload`, `kernel` and `submit`: the pipeline's side of Kaggle."""
