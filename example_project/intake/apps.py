from django.apps import AppConfig


class IntakeConfig(AppConfig):
    name = "intake"

    def ready(self) -> None:
        # A receiver is connected when its module is imported, and nothing else imports this one.
        from intake import receivers  # noqa: F401
