"""Forward passes: what one takes, and of which passes a request is made."""
