"""Settings of sign-in by Google, GitHub, Discord, Facebook and Apple, and of providers at large."""

from config.environment.errors import Unreadable, echo
from config.environment.parsing.callbacks import check_callback
from config.environment.schema import Alias, Kind, Section, Variable

# id -> (name for people, systems that share the names)
NAMES = {
    "google": ("Google", "Khoj, LibreChat, Mage"),
    "github": ("GitHub", "LibreChat"),
    "discord": ("Discord", "LibreChat"),
    "facebook": ("Facebook", "LibreChat"),
    "apple": ("Apple", "LibreChat"),
}


def callback(prefix: str, path: str, name: str, origin: str = "", note: str = "") -> Variable:
    """`<prefix>_CALLBACK_URL`."""
    return Variable(
        name=f"{prefix}_CALLBACK_URL",
        kind=Kind.TEXT,
        default=None if note else path,
        default_note=note,
        example=path,
        check=check_callback,
        origin=origin,
        help=(
            f"The path here, or the whole address, to which {name} sends people back. It has to "
            "be registered there, with PUBLIC_URL in front."
        ),
    )


def _provider(provider: str) -> tuple[Variable, ...]:
    """Id, secret and callback of one social provider."""
    name, origin = NAMES[provider]
    prefix = provider.upper()
    others = f"`/api/auth/callback/{provider}` where AUTH_SSO_PROVIDERS names it, else "
    return (
        Variable(
            name=f"{prefix}_CLIENT_ID",
            kind=Kind.TEXT,
            example="123456789",
            origin=origin,
            aliases=(Alias(f"AUTH_{prefix}_ID", "LobeChat"),),
            help=f"The client id of Gatehouse at {name}. With it {name} has a button.",
        ),
        Variable(
            name=f"{prefix}_CLIENT_SECRET",
            kind=Kind.SECRET,
            origin=origin,
            aliases=(Alias(f"AUTH_{prefix}_SECRET", "LobeChat"),),
            help=(
                "Understood, without effect: Apple's secret is made from its key."
                if provider == "apple"
                else f"The client secret of Gatehouse at {name}."
            ),
        ),
        callback(
            prefix,
            f"/oauth/{provider}/callback",
            name,
            origin,
            f"{others}`/oauth/{provider}/callback`",
        ),
        trust_email(prefix, name),
    )


def trust_email(prefix: str, name: str) -> Variable:
    """`<prefix>_TRUST_EMAIL`."""
    return Variable(
        name=f"{prefix}_TRUST_EMAIL",
        kind=Kind.BOOL,
        default="false",
        example="true",
        help=(
            f"Whether every address that {name} tells counts as verified, also where it does not "
            "say so. Only where nobody can enter somebody else's address there."
        ),
    )


def internal_url(prefix: str) -> Variable:
    """`<prefix>_INTERNAL_URL`."""
    return Variable(
        name=f"{prefix}_INTERNAL_URL",
        kind=Kind.URL,
        example="http://authentik-server:9000",
        check=check_origin,
        help=(
            "Where this server itself reaches the provider, if its public name leads nowhere from "
            "here, as between containers: scheme, host and port alone. Browsers and tokens keep "
            "the public name of the issuer, which is sent along as Host."
        ),
    )


def check_origin(url: str) -> str:
    """An address without a path."""
    if url.partition("://")[2].count("/"):
        raise Unreadable(f"{echo(url)} has a path", "write only scheme, host and port")
    return url


SOCIAL = Section(
    "Sign-in through other providers",
    "Each provider with an id and a secret has a button on the sign-in page. A new person gets an "
    "account only where registration by providers is open.",
    *(
        Variable(
            name="ALLOW_SOCIAL_LOGIN",
            kind=Kind.BOOL,
            default="true",
            example="false",
            origin="LibreChat",
            help=(
                "Whether configured providers have their buttons: the social ones and those of "
                "OpenID Connect. Unlike in LibreChat it need not be written."
            ),
        ),
        Variable(
            name="ALLOW_SOCIAL_REGISTRATION",
            kind=Kind.BOOL,
            default="false",
            example="true",
            origin="LibreChat",
            help=(
                "Whether somebody who comes by Google, GitHub, Discord, Facebook or Apple for the "
                "first time gets an account, with the role DEFAULT_ROLE. ALLOWED_EMAILS counts "
                "here too. A written false closes OpenID Connect to newcomers as well, unless "
                "OPENID_REGISTRATION is written."
            ),
        ),
        Variable(
            name="TRUSTED_EMAIL_PROVIDERS",
            kind=Kind.LIST,
            default="",
            default_note="none",
            example="google,authentik",
            help=(
                "Providers, by the names in their addresses here, whose verified email addresses "
                "may connect to an account that is in use already. Others do so only after a "
                "sign-in, on the account page."
            ),
        ),
        Variable(
            name="PROVIDER_CA_CERT_PATH",
            kind=Kind.PATH,
            example="/etc/ssl/certs/company-ca.pem",
            default_note="none beside the machine's own",
            help=(
                "PEM of an authority of your own that signed the certificates of providers and "
                "issuers; it counts beside those of the machine."
            ),
        ),
        *_provider("google"),
        *_provider("github"),
        Variable(
            name="GITHUB_ENTERPRISE_BASE_URL",
            kind=Kind.URL,
            example="https://github.example.com",
            default_note="github.com",
            origin="LibreChat",
            help="The address of a GitHub Enterprise server of your own.",
        ),
        Variable(
            name="GITHUB_ENTERPRISE_USER_AGENT",
            kind=Kind.TEXT,
            example="Gatehouse",
            default_note="Gatehouse",
            origin="LibreChat",
            help="The User-Agent of requests to GitHub.",
        ),
        *_provider("discord"),
        *_provider("facebook"),
        *_provider("apple"),
        Variable(
            name="APPLE_TEAM_ID",
            kind=Kind.TEXT,
            example="ABCDE12345",
            origin="LibreChat",
            help="The team id of your Apple developer account.",
        ),
        Variable(
            name="APPLE_KEY_ID",
            kind=Kind.TEXT,
            example="ABC123DEFG",
            origin="LibreChat",
            help="The id of the key with which Apple's client secret is made.",
        ),
        Variable(
            name="APPLE_PRIVATE_KEY_PATH",
            kind=Kind.PATH,
            example="keys/AuthKey_ABC123DEFG.p8",
            origin="LibreChat",
            help="The file with that key, as Apple gave it. A relative path begins at DATA_DIR.",
        ),
    ),
)
