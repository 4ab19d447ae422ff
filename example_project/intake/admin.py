from django.contrib import admin

from intake.models import Arrival


@admin.register(Arrival)
class ArrivalAdmin(admin.ModelAdmin):
    list_display = ("name", "size", "lines", "sha256", "arrived_at")
    search_fields = ("name", "sha256")
    date_hierarchy = "arrived_at"
