"""What `import sever` offers, a file a subject: each function checks its words and calls one stage of the pipeline."""
