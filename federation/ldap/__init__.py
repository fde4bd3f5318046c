"""Users of a directory (LDAP): sign-in with its password, and synchronization.

python-ldap is an optional package. `backend` and `rehearsal` need it when they are imported, and
`connection` when it is used; everything else runs without.
"""
