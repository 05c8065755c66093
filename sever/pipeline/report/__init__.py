"""`sever report`: what stored evidence says of a model, as numbers and pictures for one page."""
