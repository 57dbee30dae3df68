"""The page: `python -m pyroctl.web`, which runs as a service of kind `web`.

`security` decides who may do what, `live` follows the manager and feeds browsers, `history` keeps
numbers for plots, `api` has a function for each request, and `static` has the page's files. It
talks with the manager over a control socket of its own, see `pyroctl.manager.pages`.
"""
