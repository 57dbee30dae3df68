"""The requests that the page and scripts can make; `table` lists them all."""
