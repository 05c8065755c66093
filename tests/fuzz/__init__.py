"""Damaged files of every kind that sever reads: nothing but InputError, whatever is in them."""
