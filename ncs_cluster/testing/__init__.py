"""What tests of this package, and of programs built on it, need: real children at the end of a real channel."""
