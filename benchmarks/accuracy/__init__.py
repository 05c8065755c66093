"""How accurate a training is for the time it takes: one protocol, one contender, one budget, one row in a table."""
