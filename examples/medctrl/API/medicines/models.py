from django.db import models


class Medicine(models.Model):
    """One centrally authorised medicine."""

    STATUSES = [("authorised", "Authorised"), ("refused", "Refused"), ("withdrawn", "Withdrawn")]

    eu_number = models.CharField("EMA product number", max_length=32, unique=True)
    brand_name = models.CharField(max_length=200)
    active_substance = models.CharField(max_length=200)
    atc_code = models.CharField("ATC code", max_length=7)
    company = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=STATUSES, default="authorised")
    decided_in = models.PositiveSmallIntegerField("year of the decision")
    orphan = models.BooleanField("orphan medicine", default=False)

    class Meta:
        ordering = ["brand_name"]

    def __str__(self):
        return self.brand_name


class Procedure(models.Model):
    """One step in the regulatory life of a medicine."""

    medicine = models.ForeignKey(Medicine, on_delete=models.CASCADE, related_name="procedures")
    kind = models.CharField(max_length=100)
    year = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["year", "kind"]

    def __str__(self):
        return "{} ({})".format(self.kind, self.year)
