"""From images to masks: a model, what it finds, and where models come from; torch only where one is loaded with it."""
