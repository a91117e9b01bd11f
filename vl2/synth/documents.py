"""Tasks "receipt" and "form": small documents with fields to look up."""

from vl2.synth.forms import generate_form
from vl2.synth.receipts import generate_receipt

__all__ = ["generate_form", "generate_receipt"]
