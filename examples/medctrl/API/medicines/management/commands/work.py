import os
import signal
import time

from django.core.management.base import BaseCommand
from django.db.models import Count

from medicines import jobs
from medicines.models import Medicine


class Command(BaseCommand):
    help = "Does the jobs of the queue until it is told to end, and finishes the one it has first."

    def handle(self, **options):
        self.going = True
        signal.signal(signal.SIGTERM, self.stop)
        worker = os.environ.get("MEDCTRL_PROCESS_INDEX", "0")
        self.stdout.write("worker %s waits for jobs" % worker)
        while self.going:
            job = jobs.take(worker)
            if job is None:
                time.sleep(0.2)
                continue
            taken, what = job
            counts = Medicine.objects.values_list("status").annotate(Count("id")).order_by("status")
            self.stdout.write("worker %s: %s: %s" % (worker, what, ", ".join("%s %d" % c for c in counts)))
            jobs.done(taken)

    def stop(self, *_):
        self.going = False
