"""Conversations and images to prompts, and generated text back to regions."""
