"""What asks the proxies: wrk, and what wrk cannot do."""
