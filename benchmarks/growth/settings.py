"""The settings of an instance whose operations are measured in one process.

The password hash is left out by a cheap hasher: it costs the same with any number of rows, and
would hide everything else.
"""

from config.settings import *  # noqa: F403 - the settings of an instance, but for two

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
RUN_WORKER = False
