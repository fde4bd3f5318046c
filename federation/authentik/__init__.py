"""Sets up Gatehouse in authentik through its API, for the command setup_authentik."""
