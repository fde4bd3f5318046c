"""The user list of the admin, and the page of one user."""
