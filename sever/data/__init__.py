"""Images and labels in: tables of images, run lengths, folds, augmentation, synthetic strip."""
