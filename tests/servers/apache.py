"""Apache with mod_auth_openidc."""

from pathlib import Path

MODULES = Path("/usr/lib/apache2/modules")
LOADED = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http",
          "auth_openidc")  # fmt: skip


def apache_configuration(folder: Path, port: int) -> str:
    """What a configuration begins with: a server on this port that writes into the folder."""
    lines = [
        f"Listen 127.0.0.1:{port}",
        f"ServerName 127.0.0.1:{port}",
        f"ServerRoot {folder}",
        "PidFile pid",
        "ErrorLog /dev/stderr",
        # Of its children, if it is started by root.
        "User www-data",
        "Group www-data",
        *(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED),
    ]
    return "".join(f"{line}\n" for line in lines)
