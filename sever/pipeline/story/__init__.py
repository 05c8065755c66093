"""`sever run`: a story of command lines in stages, and how far it has come."""
