"""What gunicorn loads. Which settings: DJANGO_SETTINGS_MODULE, set by the supervisor; without it Django refuses."""
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
