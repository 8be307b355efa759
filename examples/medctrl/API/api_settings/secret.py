"""The SECRET_KEY of the example: made once on each machine and for each build, never committed."""
import os
import secrets
import tempfile


def load_or_make(path):
    """Returns the key in the file at path, which only its owner can read; makes it where there is none.

    Several processes may come here at once (migrate, each worker), and all must get the same key, or the sessions that one
    signs are refused by the next. So the key is written aside and linked into place: link(2) never replaces a file, the first
    one wins and everybody reads it whole.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=".secret_key.", dir=os.path.dirname(path))  # mkstemp: mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(aside)
    return _read(path)


def _read(path):
    with open(path) as file:
        return file.read()
