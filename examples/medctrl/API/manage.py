#!/usr/bin/env python3
"""Django's command line. The supervisor sets DJANGO_SETTINGS_MODULE; by hand it is the development build."""
import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "api_settings.settings.deploy_development")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
