"""`sever blend`: several models into one, from their stored out-of-fold maps."""
