"""The files of the review page: plain modules, styles and words, served as they are."""
