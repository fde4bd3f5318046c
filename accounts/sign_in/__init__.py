"""The sign-in flow over allauth: its adapter, its stages, and the closed list of methods."""
