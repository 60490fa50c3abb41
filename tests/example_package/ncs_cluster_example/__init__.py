"""One plugin of each kind, in a package of its own: what it is made of is what an author of plugins writes."""
