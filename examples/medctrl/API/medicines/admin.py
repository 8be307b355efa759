from django.contrib import admin

from .models import Medicine, Procedure


class ProcedureInline(admin.TabularInline):
    model = Procedure
    extra = 0


@admin.register(Medicine)
class MedicineAdmin(admin.ModelAdmin):
    list_display = ["brand_name", "active_substance", "atc_code", "status", "decided_in"]
    list_filter = ["status", "orphan"]
    search_fields = ["brand_name", "active_substance", "eu_number"]
    inlines = [ProcedureInline]
