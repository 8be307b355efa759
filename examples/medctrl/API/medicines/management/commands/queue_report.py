import time

from django.core.management.base import BaseCommand

from medicines import jobs


class Command(BaseCommand):
    help = "Puts a report into the queue: once, or again and again."

    def add_arguments(self, parser):
        parser.add_argument("--every", type=float, metavar="SECONDS")

    def handle(self, every=None, **options):
        while True:
            self.stdout.write("queued " + jobs.put("report of %s" % time.strftime("%H:%M:%S")))
            if every is None:
                return
            time.sleep(every)
