"""Case -> the operators of each pass: FLOPs, bytes and messages, per device."""
