"""OpenLDAP servers in temporary folders, with TLS and memberOf."""

import shutil
import socket
import subprocess
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ldap
import ldap.modlist
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devtools.servers.certificates import alternative
from devtools.servers.processes import ServerProcess, accepts_connections, free_port, program

SUFFIX = "dc=example,dc=org"
USERS, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
ROOT_DN, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "root of the test"
SERVICE_DN, SERVICE_PASSWORD = f"cn=gatehouse,{SUFFIX}", "service of the test"
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
PASSWORD = "correct horse battery staple"

CONFIG = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
include {schemas}/nis.schema
{states}
modulepath {modules}
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
suffix "{suffix}"
rootdn "{root_dn}"
rootpw "{root_password}"
directory {folder}/data
maxsize 268435456
sizelimit size.soft=unlimited size.hard=unlimited size.pr=unlimited
index objectClass,uid,mail,cn,member,entryUUID eq
overlay ppolicy
overlay memberof
memberof-group-oc groupOfNames
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service_dn}" read by anonymous auth by * none
"""
# Attributes of other servers, for entries of the class gateState.
TEXT = "1.3.6.1.4.1.1466.115.121.1.15"
STATE_NAMES = ("userAccountControl", "accountExpires", "lockoutTime", "nsAccountLock",
               "msDS-User-Account-Control-Computed", "krbPrincipalExpiration", "loginDisabled",
               "inetUserStatus", "userPrincipalName")  # fmt: skip
STATES = "\n".join(
    f"attributetype ( 1.3.6.1.4.1.99999.1.{number} NAME '{name}' "
    f"EQUALITY caseIgnoreMatch SYNTAX {TEXT} SINGLE-VALUE )"
    for number, name in enumerate(STATE_NAMES, 1)
) + (
    "\nobjectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'gateState' SUP top AUXILIARY "
    f"MAY ( {' $ '.join(STATE_NAMES)} ) )"
)
BASE = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {USERS}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: {SERVICE_DN}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gatehouse
userPassword: {SERVICE_PASSWORD}
"""


class DirectoryServer:
    """slapd on ldap:// and ldaps:// of 127.0.0.1, with a certificate for that address.

    Written to as its root, read by the service account; anonymous access is denied.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-slapd-"))
        (self.folder / "data").mkdir()
        self.ca_file = self.folder / "ca.pem"
        write_certificates(self.folder, "127.0.0.1")
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.tls_url = f"ldaps://127.0.0.1:{self.tls_port}"
        config = CONFIG.format(
            schemas=SCHEMAS, modules=MODULES, folder=self.folder, suffix=SUFFIX, root_dn=ROOT_DN,
            root_password=ROOT_PASSWORD, service_dn=SERVICE_DN, states=STATES,
        )  # fmt: skip
        (self.folder / "slapd.conf").write_text(config)
        self._add(BASE)
        self.process = self._start()

    def _add(self, ldif: str) -> None:
        subprocess.run(
            [program("slapadd"), "-f", str(self.folder / "slapd.conf")],
            input=ldif, text=True, check=True, capture_output=True,
        )  # fmt: skip

    def _start(self) -> ServerProcess:
        urls = f"{self.url} ldaps://127.0.0.1:{self.tls_port}"
        command = [program("slapd"), "-f", str(self.folder / "slapd.conf"), "-h", urls, "-d", "0"]
        process = ServerProcess(command, self.folder / "slapd.log")
        process.wait_until(
            lambda: accepts_connections(self.port) and accepts_connections(self.tls_port)
        )
        return process

    def as_root(self) -> Any:
        handle = ldap.initialize(self.url)
        handle.simple_bind_s(ROOT_DN, ROOT_PASSWORD)
        return handle

    def clear(self) -> None:
        """Delete all users and groups."""
        handle = self.as_root()
        for base in (GROUPS, USERS):
            for dn, _values in handle.search_s(base, ldap.SCOPE_SUBTREE, attrlist=["1.1"])[::-1]:
                if dn != base:
                    handle.delete_s(dn)
        handle.unbind_s()

    def add_user(self, uid: str, password: str = PASSWORD, **values: Any) -> str:
        """Add a user with the mail `uid`@example.org (None: without); returns the DN."""
        attributes: dict[str, Any] = {
            "objectClass": ["inetOrgPerson"], "uid": uid, "cn": uid, "sn": uid,
            "mail": f"{uid}@example.org", "userPassword": password, **values,
        }  # fmt: skip
        dn = f"uid={ldap.dn.escape_dn_chars(uid)},{USERS}"
        self.add(dn, {key: value for key, value in attributes.items() if value is not None})
        return dn

    def add_group(self, cn: str, *members: str, base: str = GROUPS) -> str:
        """Add a group of these DNs; an empty group contains itself."""
        dn = f"cn={ldap.dn.escape_dn_chars(cn)},{base}"
        self.add(dn, {"objectClass": ["groupOfNames"], "cn": cn, "member": list(members) or [dn]})
        return dn

    def add(self, dn: str, values: dict[str, Any]) -> None:
        handle = self.as_root()
        handle.add_s(dn, ldap.modlist.addModlist(_octets(values)))
        handle.unbind_s()

    def replace(self, dn: str, **values: Any) -> None:
        handle = self.as_root()
        changes = [(ldap.MOD_REPLACE, key, value) for key, value in _octets(values).items()]
        handle.modify_s(dn, changes)
        handle.unbind_s()

    def set_state(self, dn: str, name: str, value: str) -> None:
        """Set an attribute by which a server marks a user as disabled."""
        own = {"pwdAccountLockedTime": [], "pwdEndTime": []}
        classes = {"shadowExpire": ["shadowAccount"], **own}
        auxiliary = classes.get(name, ["gateState"])
        self.replace(dn, objectClass=["inetOrgPerson", *auxiliary], **{name: value})

    def lock_once(self, dn: str, *, since: datetime, seconds: int) -> None:
        """Lock a user by a password policy whose locks end after `seconds`."""
        policy = f"cn=short,{GROUPS}"
        self.add(policy, {
            "objectClass": ["organizationalRole", "pwdPolicy"], "cn": "short",
            "pwdAttribute": "userPassword", "pwdLockout": "TRUE", "pwdLockoutDuration": seconds,
        })  # fmt: skip
        locked = since.strftime("%Y%m%d%H%M%SZ")
        self.replace(dn, pwdPolicySubentry=policy, pwdAccountLockedTime=locked)

    def delete(self, dn: str) -> None:
        handle = self.as_root()
        handle.delete_s(dn)
        handle.unbind_s()

    def stop(self) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _octets(values: dict[str, Any]) -> dict[str, list[bytes]]:
    return {
        key: [one if isinstance(one, bytes) else str(one).encode()
              for one in (value if isinstance(value, list) else [value])]
        for key, value in values.items()
    }  # fmt: skip


def write_certificates(folder: Path, host: str) -> None:
    """Write ca.pem, and server.pem with server.key for `host`, which it signs."""
    authority, authority_key = _certificate("Test authority", None, None, is_authority=True)
    server, server_key = _certificate(host, authority, authority_key, is_authority=False)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _certificate(name: str, issuer: Any, issuer_key: Any, *, is_authority: bool) -> tuple[Any, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(is_authority=is_authority), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative(name)]), False)
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


class SilentServer:
    """A server that accepts connections, reads requests, and never responds."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.received: list[bytes] = []
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                held, _address = self._socket.accept()
            except OSError:
                return
            self._held.append(held)
            threading.Thread(target=self._read, args=(held,), daemon=True).start()

    def _read(self, held: socket.socket) -> None:
        try:
            while octets := held.recv(4096):
                self.received.append(octets)
        except OSError:
            return

    def stop(self) -> None:
        for held in (*self._held, self._socket):
            held.close()


class StrippingServer(SilentServer):
    """A server that refuses StartTLS as unsupported, as an attacker on the network could."""

    def _read(self, held: socket.socket) -> None:
        try:
            while octets := held.recv(4096):
                self.received.append(octets)
                # ExtendedResponse, protocolError, with the id of the message.
                held.sendall(
                    bytes.fromhex("300c0201") + octets[4:5] + bytes.fromhex("78070a010204000400")
                )
        except OSError:
            return
