"""A scripted world: a shop's month of scored texts with planted incidents, and a judge that compares alerts with them.

In order: `shop.py` (products, customers, the week's rhythm) → `background.py` (what happens anyway) with `crowds.py`
(what happens to a product) and `stories.py` (what happens to a customer) → `make.py` (the stream, in order of arrival)
→ `files.py` (events here, truth there) → the alert rules, whoever runs them → `judge.py`.
"""
