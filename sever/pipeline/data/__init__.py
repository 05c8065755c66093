"""The commands of `sever data`: one file each."""
