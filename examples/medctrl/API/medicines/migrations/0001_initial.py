from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Medicine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('eu_number', models.CharField(max_length=32, unique=True, verbose_name='EMA product number')),
                ('brand_name', models.CharField(max_length=200)),
                ('active_substance', models.CharField(max_length=200)),
                ('atc_code', models.CharField(max_length=7, verbose_name='ATC code')),
                ('company', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('authorised', 'Authorised'), ('refused', 'Refused'), ('withdrawn', 'Withdrawn')], default='authorised', max_length=16)),
                ('decided_in', models.PositiveSmallIntegerField(verbose_name='year of the decision')),
                ('orphan', models.BooleanField(default=False, verbose_name='orphan medicine')),
            ],
            options={
                'ordering': ['brand_name'],
            },
        ),
        migrations.CreateModel(
            name='Procedure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=100)),
                ('year', models.PositiveSmallIntegerField()),
                ('medicine', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='procedures', to='medicines.medicine')),
            ],
            options={
                'ordering': ['year', 'kind'],
            },
        ),
    ]
