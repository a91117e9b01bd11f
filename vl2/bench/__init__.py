"""Speed, measured beside what the machine could do and what others do, in one run."""
