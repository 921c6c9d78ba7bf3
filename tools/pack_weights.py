"""Packs weights into 8 bits a number (vgslam/network/weight_files.py), as they come with the package:

python tools/pack_weights.py out/train/weights.safetensors vgslam/assets/weights/NAME.safetensors

A network of `vgslam train` and a relocalization adapter are packed alike; an adapter names the file that it was
trained on.
"""

import argparse
from pathlib import Path

from vgslam.guards.wording import say
from vgslam.network.weight_files import METADATA_PACKING, ROWS_OF_8_BITS, packed, read_tensors, sha256_of, write_tensors


def pack(source: Path, target: Path) -> None:
    """Writes `target`, atomically. WeightsError if `source` cannot be read, OutputError if it cannot be written."""
    tensors, metadata = read_tensors((source,))
    write_tensors(target, packed(tensors), metadata | {METADATA_PACKING: ROWS_OF_8_BITS})


def main() -> None:
    """Packs, and prints size and hash for the model card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="weights as `vgslam train` wrote them")
    parser.add_argument("target", type=Path, help="file to write")
    args = parser.parse_args()
    pack(args.source, args.target)
    say(f"{args.target}: {args.target.stat().st_size / 1e6:.1f} MB, sha256 {sha256_of((args.target,))}")


if __name__ == "__main__":
    main()
