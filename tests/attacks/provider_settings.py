"""Settings of a site with social providers beside the others: they are the double's."""

import os
from types import SimpleNamespace

from config.settings import *  # noqa: F403
from config.settings import SIGN_IN_PROVIDERS as CONFIGURED
from tests.federation.social.conftest import provider_of
from tests.federation.social.double import SocialDouble

_double: object = SimpleNamespace(
    url=os.environ["SOCIAL_DOUBLE_URL"], team_pem=os.environ["SOCIAL_DOUBLE_KEY"]
)
_double.options = lambda kind: SocialDouble.options(_double, kind)  # type: ignore[attr-defined, arg-type]
PROVIDER_INTERNAL_URLS = SocialDouble.internal_urls.fget(_double)
SIGN_IN_PROVIDERS = (
    *CONFIGURED,
    *(provider_of(kind, _double) for kind in ("google", "github", "apple")),  # type: ignore[arg-type]
)
