"""What a daemon was like over the last weeks: temperatures, rates and events, in STATE_DIR/history.db."""
