"""Raises an exception of every form, started by itself."""

from raises import handler

from nuxt_queue import run_worker

if __name__ == "__main__":
    run_worker(handler)
