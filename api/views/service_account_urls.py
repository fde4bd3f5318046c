"""URLs of the pages for people who answer for service accounts, below /account/service-accounts."""

from django.urls import path

from api.views import service_account_pages

app_name = "serviceaccounts"
urlpatterns = [
    path("", service_account_pages.own_list, name="list"),
    path("/<uuid:user_id>", service_account_pages.keys, name="keys"),
    path("/<uuid:user_id>/keys/<str:key_id>/revoke", service_account_pages.revoke, name="revoke"),
]
