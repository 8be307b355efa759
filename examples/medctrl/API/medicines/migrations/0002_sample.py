"""A few medicines to look at. Sample data, abridged: not a source for anything medical."""
from django.db import migrations

# number, brand, substance, ATC, company, year, orphan, procedures after the authorisation
SAMPLE = [
    ("EMEA/H/C/000481", "Humira", "adalimumab", "L04AB04", "AbbVie Deutschland GmbH & Co. KG", 2003, False, [("Renewal", 2008)]),
    ("EMEA/H/C/000406", "Glivec", "imatinib", "L01EA01", "Novartis Europharm Limited", 2001, False, [("Renewal", 2006)]),
    ("EMEA/H/C/003820", "Keytruda", "pembrolizumab", "L01FF02", "Merck Sharp & Dohme B.V.", 2015, False, [("Renewal", 2020)]),
    ("EMEA/H/C/004174", "Ozempic", "semaglutide", "A10BJ06", "Novo Nordisk A/S", 2018, False, [("Renewal", 2022)]),
    ("EMEA/H/C/005735", "Comirnaty", "tozinameran", "J07BN01", "BioNTech Manufacturing GmbH", 2020, False, []),
]


def seed(apps, schema_editor):
    Medicine = apps.get_model("medicines", "Medicine")
    Procedure = apps.get_model("medicines", "Procedure")
    for number, brand, substance, atc, company, year, orphan, procedures in SAMPLE:
        medicine = Medicine.objects.create(
            eu_number=number,
            brand_name=brand,
            active_substance=substance,
            atc_code=atc,
            company=company,
            decided_in=year,
            orphan=orphan,
        )
        for kind, when in [("Authorisation", year)] + procedures:
            Procedure.objects.create(medicine=medicine, kind=kind, year=when)


def unseed(apps, schema_editor):
    apps.get_model("medicines", "Medicine").objects.filter(eu_number__in=[row[0] for row in SAMPLE]).delete()


class Migration(migrations.Migration):
    dependencies = [("medicines", "0001_initial")]
    operations = [migrations.RunPython(seed, unseed)]
