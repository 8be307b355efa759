"""SQLite behind a door: whoever wants to connect has to find somebody listening there."""
import os
import socket

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, params):
        try:
            socket.create_connection(tuple(os.environ["CHAOS_DATABASE"].rsplit(":", 1)), timeout=5).close()
        except OSError as e:
            raise OperationalError(2003, "Can't connect to MySQL server on 'db' (%s)" % e)
        return super().get_new_connection(params)
