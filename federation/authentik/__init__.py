"""Setting Gatehouse up in an Authentik, through its API. No page needs this; one command does."""
