"""Images from clients that nobody trusts: downloaded from public addresses only, decoded in a process of their own."""
