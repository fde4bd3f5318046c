def enqueue_mail(**k):
    pass
