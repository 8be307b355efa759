import logging

from django.core.management.base import BaseCommand

from roles.models import Role


class Command(BaseCommand):
    help = "Makes the roles that every build has"

    def handle(self, *args, **options):
        for name in ("editor", "reader"):
            _, created = Role.objects.get_or_create(name=name)
            logging.getLogger(__name__).info("role %s %s", name, "was made" if created else "exists")
