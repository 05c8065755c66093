"""Results of commands as tables that a person reads in a terminal, a file a result; only here does rich make tables."""
