def start_worker():
    pass
