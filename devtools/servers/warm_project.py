"""What multiprocessing's fork server imports first: its children need not import the project."""

from devtools.servers.warm import import_project

import_project()
