"""Synthetic steel strip in the format of the 2019 Severstal competition, to learn and to try things on."""

from sever.data.synthetic.files import SynthSettings, write_dataset
from sever.data.synthetic.strip import make_strip

__all__ = ["SynthSettings", "make_strip", "write_dataset"]
