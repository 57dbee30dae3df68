"""What `status`, the page and the terminal UI show, without any I/O, so that they can't disagree.

`picture` follows the stream of `watch`, `rates` makes rates of measurements, `services` judges a
status and words it, `costs` words what an action would cost, `text` has the units.
"""
