"""Access reviews in the admin. Importing it registers the table, the task and the section."""

from access_reviews.admin import overview, reviews, user_page

__all__ = ["overview", "reviews", "user_page"]
