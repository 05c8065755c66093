"""`sever select`: which two of several candidates to submit."""
