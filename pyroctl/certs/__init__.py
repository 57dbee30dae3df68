"""The certificates of a site: its CA, what it has issued, and which keys may connect.

`names`, `lifetime`, `clients` and `tokens` are pure, `authority` makes and reads certificates (it
alone imports cryptography), and `site` has the files.
"""
