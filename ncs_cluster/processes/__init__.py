"""One file or folder per operating-system process. Children start by dotted name and never import one another."""
