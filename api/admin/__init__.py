"""The API in the admin. Importing it registers the tables and the sections of the user page."""

from api.admin import keys, programs, user_list, user_page

__all__ = ["keys", "programs", "user_list", "user_page"]
