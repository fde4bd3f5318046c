def site(request):
    return {}


def csrf_failure(request, reason=""):
    pass


bad_request = forbidden = not_found = server_error = lambda r, *a, **k: None
