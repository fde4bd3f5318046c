"""URLs of webhooks below /api/v1/, without a trailing slash."""

from django.urls import path

from webhooks.api import deliveries, endpoints

app_name = "webhooks_api"
urlpatterns = [
    path("webhooks", endpoints.WebhooksView.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_id>", endpoints.WebhookView.as_view(), name="webhook"),
    path(
        "webhooks/<uuid:webhook_id>/rotate-secret",
        endpoints.WebhookSecretView.as_view(),
        name="rotate-secret",
    ),
    path("webhooks/<uuid:webhook_id>/test", deliveries.WebhookTestView.as_view(), name="test"),
    path(
        "webhooks/<uuid:webhook_id>/deliveries",
        deliveries.DeliveriesView.as_view(),
        name="deliveries",
    ),
    path(
        "webhooks/deliveries/<uuid:delivery_id>/resend",
        deliveries.ResendView.as_view(),
        name="resend",
    ),
]
