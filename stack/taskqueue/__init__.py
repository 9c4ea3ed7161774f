"""The runtime that every stage shares: what the nine services need and no fix ever touches."""
