"""What requests bring: lengths, media, prefixes found again, searches, and recorded traces."""
