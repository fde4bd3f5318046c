"""Settings of the Gatehouse that the browser test runs: its providers are the double's."""

import os
from types import SimpleNamespace

from config.settings import *  # noqa: F403
from tests.federation.social.conftest import LABELS, provider_of
from tests.federation.social.double import SocialDouble

_double = SimpleNamespace(
    url=os.environ["SOCIAL_DOUBLE_URL"], team_pem=os.environ["SOCIAL_DOUBLE_KEY"]
)
_double.options = lambda kind: SocialDouble.options(_double, kind)
SIGN_IN_PROVIDERS = tuple(provider_of(kind, _double) for kind in LABELS)
PROVIDER_INTERNAL_URLS = SocialDouble.internal_urls.fget(_double)
