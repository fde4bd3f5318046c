"""URLs of access reviews below /api/v1/, without a trailing slash."""

from django.urls import path

from access_reviews.api import views

app_name = "access_reviews_api"
urlpatterns = [
    path("access-reviews", views.AccessReviewsView.as_view(), name="access-reviews"),
    path("access-reviews/<uuid:review_id>", views.AccessReviewView.as_view(), name="access-review"),
    path(
        "access-reviews/<uuid:review_id>/items",
        views.ReviewItemsView.as_view(),
        name="access-review-items",
    ),
    path(
        "access-reviews/<uuid:review_id>/items/<uuid:item_id>/decide",
        views.DecisionView.as_view(),
        name="decide-access",
    ),
    path(
        "access-reviews/<uuid:review_id>/close",
        views.CloseView.as_view(),
        name="close-access-review",
    ),
    path(
        "access-reviews/<uuid:review_id>/export",
        views.ExportView.as_view(),
        name="export-access-review",
    ),
]
