"""Which changes of the audit log can be taken back, and how; each app registers its own."""
