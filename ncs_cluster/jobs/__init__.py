"""Jobs: finite work over files, each item exactly once, resumable. The ledger says what is done; the core knows no jobs."""
