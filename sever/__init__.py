"""`sever` finds surface defects on steel strip: images in, scored defect masks out."""

__version__ = "0.1.0"
