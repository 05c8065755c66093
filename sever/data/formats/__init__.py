"""One file a format, read and written; registry.py has them all in one table. They know no folds and no networks."""
