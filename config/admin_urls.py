"""The paths of the admin panel, in which every app registers its tables and actions."""

from django.utils.module_loading import autodiscover_modules

from accounts.admin.site import site

autodiscover_modules("admin")

urlpatterns, app_name, _name = site.urls
