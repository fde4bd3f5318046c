"""The API in the admin. Importing it registers tables, sections and a dashboard part."""

from api.admin import keys, overview, programs, service_keys, user_list, user_page

__all__ = ["keys", "overview", "programs", "service_keys", "user_list", "user_page"]
