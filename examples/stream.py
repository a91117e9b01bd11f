"""Print an answer while it is being made, then ask again in the same conversation.

python examples/stream.py [IMAGE]
"""

import sys
from pathlib import Path

import vl2
from vl2.processing.messages import Image, Message, Text

HERE = Path(__file__).parent


def main() -> None:
    image = sys.argv[1] if len(sys.argv) > 1 else HERE / "receipt.png"
    model = vl2.load("nano")
    messages = [Message("user", (Image(image), Text("\nRead all the text in the image.")))]
    stream = model.chat_stream(messages, max_tokens=200)
    for piece in stream:
        print(piece, end="", flush=True)
    print(f"\n[{stream.answer.completion_tokens} tokens, first after {stream.answer.ttft_sec:.2f} s]")

    messages += [Message("assistant", (Text(stream.answer.text),)), Message("user", (Text("What is the total?"),))]
    print(model.chat(messages).text)


if __name__ == "__main__":
    main()
