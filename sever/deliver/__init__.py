"""The outside world: submissions, pictures, reports."""
