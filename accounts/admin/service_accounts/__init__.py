"""Service accounts in the admin panel: their list, and the page of one."""
