"""The standard questions."""

from vl2.processing.messages import Grounding, Image, Message, Ref, Text
from vl2.processing.prompts import ask_message, describe_message, ground_message


def test_each_image_stands_on_its_own_line_before_the_question():
    message = ask_message(["a.png", b"b"], "What changed?")
    assert message == Message("user", (Image("a.png"), Text("\n"), Image(b"b"), Text("\n"), Text("What changed?")))
    assert ask_message([], "Hello").parts == (Text("Hello"),)


def test_grounding_marks_the_phrase():
    parts = (Image("a.png"), Text("\nLocate "), Ref("the <image> sign"), Text(" in the image."))
    assert ground_message("a.png", "the <image> sign").parts == parts


def test_description_asks_for_places():
    assert Grounding() in describe_message("a.png").parts


def test_grounding_in_the_last_of_several_images():
    parts = (Image("a.png"), Text("\n"), Image("b.png"), Text("\nLocate "), Ref("it"), Text(" in the image."))
    assert ground_message("b.png", "it", ["a.png"]).parts == parts
