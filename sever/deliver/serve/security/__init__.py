"""Who may do what: passwords, keys, sessions, limits and the trail of what was done; knows no images."""
