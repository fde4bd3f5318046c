"""An app of a team: its first migrations change data, and its last one fails as BROKEN says."""
