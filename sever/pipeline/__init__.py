"""The story: one file a stage; each reads, calls and writes."""
