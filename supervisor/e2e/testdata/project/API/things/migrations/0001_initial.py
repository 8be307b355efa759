from django.db import migrations, models


def first(apps, schema_editor):
    apps.get_model("things", "Thing").objects.create(name="first")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Thing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=20)),
            ],
        ),
        migrations.RunPython(first, migrations.RunPython.noop),
    ]
