"""The directory (LDAP): looking a person up, and proving his password with it.

names, filters and values are pure. connection is the only module that loads python-ldap, and only
when a directory is configured: a machine without it runs without LDAP.
"""
