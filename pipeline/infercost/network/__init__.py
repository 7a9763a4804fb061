"""Messages over the fabrics that join devices."""
