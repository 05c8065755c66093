"""`sever train`: table, folds and statistics, then the training loop, watched and saved; resumable at any moment."""
