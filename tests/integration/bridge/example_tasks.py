"""Tasks of Django, by the package that this Django has."""

from importlib.util import find_spec

if find_spec("django.tasks"):
    from django.tasks import task
else:
    from django_tasks import task


@task
def handle(event):
    pass


@task
def handle_all(events):
    pass


@task(takes_context=True)
def handle_with_context(context, event):
    pass


@task
def handle_nothing():
    pass


def no_task(event):
    pass
