"""Ask a question about an image.

python examples/ask.py [IMAGE] [QUESTION]
"""

import sys
from pathlib import Path

import vl2

HERE = Path(__file__).parent


def main() -> None:
    image = sys.argv[1] if len(sys.argv) > 1 else HERE / "receipt.png"
    question = sys.argv[2] if len(sys.argv) > 2 else "What is the total?"
    answer = vl2.load("nano").ask(image, question)
    print(answer.text)
    print(f"{answer.prompt_tokens} prompt tokens, {answer.image_tokens} of them for the image; {answer.finish_reason}")


if __name__ == "__main__":
    main()
