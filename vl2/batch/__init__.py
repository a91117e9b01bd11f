"""Files of requests: what comes in and goes out (lines), and how it is worked through (work)."""
