"""imagededup's hashes, for duplicates.py: run by the Python of an environment that has imagededup; knows no sever.

On standard input JSON with `paths`, `method` (PHash, DHash, ...) and `bits`; on standard output, as the last line, JSON
with `pairs` (places in the list), and the seconds of the wall clock and of the processors. Loading imagededup, which
loads torch, is not counted.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    asked = json.load(sys.stdin)
    import imagededup.methods  # type: ignore[import-not-found]

    wall, processor = time.perf_counter(), time.process_time()
    hasher = getattr(imagededup.methods, asked["method"])(verbose=False)
    codes = {str(at): hasher.encode_image(image_file=path) for at, path in enumerate(asked["paths"])}
    # One process: others would not be seen by the processor's clock.
    found = hasher.find_duplicates(encoding_map=codes, max_distance_threshold=asked["bits"], num_dist_workers=0)
    pairs = [(int(a), int(b)) for a, others in found.items() for b in others if int(a) < int(b)]
    times = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    print(json.dumps({"pairs": pairs} | times))


if __name__ == "__main__":
    main()
