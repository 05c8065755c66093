"""What is kept: answers, people, corrections and events in a database, images on disk; knows no HTTP."""
