"""Secrets that are published somewhere: refused at every start.

The long ones were samples or defaults of systems from which instances are moved. This is
the one file that may hold them; the test that searches the repository for secrets skips it.
"""

PUBLISHED = frozenset(
    {
        "",
        # Khoj, KHOJ_DJANGO_SECRET_KEY
        "!secret",
        # Mage, JWT_SECRET
        "materia",
        # LibreChat's sample file: JWT_SECRET, JWT_REFRESH_SECRET, CREDS_KEY, CREDS_IV
        "16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef",
        "eaa5191f2914e30b9387fd84e254e4ba6fc51b4654968a9b0803b456a54b8418",
        "f34be427ebb29de8d88c107a71546019685ed8b241d8f2ed00c3df97ad2566f0",
        "e2341419ec3dd3d19b13a1a87fafcbfb",
        # Reflector, SECRET_KEY
        "changeme-f02f86fd8b3e4fd892c6043e5a298e21",
        # what samples and tutorials write
        "---",
        "admin",
        "default",
        "insecure",
        "key",
        "none",
        "null",
        "password",
        "secret",
        "secret_key",
        "secret-key",
        "test",
        "undefined",
    }
)
# Parts that no random value has: the value was meant to be replaced.
PLACEHOLDERS = (
    "django-insecure-",
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "change_this",
    "replace-me",
    "replace_me",
    "replaceme",
    "your-secret",
    "your_secret",
    "insert-secret",
)
