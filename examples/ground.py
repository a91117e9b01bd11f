"""Locate what a phrase describes, and draw the boxes.

python examples/ground.py [IMAGE] [PHRASE] [OUT]
"""

import sys
from pathlib import Path

import vl2
from vl2.draw import draw_regions, save_picture
from vl2.processing.images import open_image

HERE = Path(__file__).parent


def main() -> None:
    image = open_image(sys.argv[1] if len(sys.argv) > 1 else HERE / "receipt.png")
    phrase = sys.argv[2] if len(sys.argv) > 2 else "the total"
    out = Path(sys.argv[3] if len(sys.argv) > 3 else "out/ground.png")
    regions = vl2.load("nano").ground(image, phrase).regions
    for region in regions:
        print(region.label, [round(value) for value in region.box])
    if not regions:
        print(f"not found: {phrase}")
    save_picture(draw_regions(image, regions), out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
