"""`sever plan`: what a data set is like, how fast this machine is, and an experiment that fits both and the hours."""
