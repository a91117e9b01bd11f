"""Evaluation: records in, scores by task with confidence intervals and every output out."""
